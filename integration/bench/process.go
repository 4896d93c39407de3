package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/plugin"
)

// programs builds the programs of the benchmarks into a folder.
func programs(t testing.TB, dir string) {
	t.Helper()
	for name, pkg := range map[string]string{"gangway": ".", "floor": "./integration/bench/floor", "load": "./integration/bench/load"} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, name), pkg)
		cmd.Dir = moduleRoot
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
}

// moduleRoot is where the module is from the folder of this package, in which
// its tests run.
const moduleRoot = "../.."

// process is a daemon of a variant, or another program, on a node.
type process struct {
	pid  int // as the machine counts
	cmd  *exec.Cmd
	done chan struct{}
	log  *bytes.Buffer
}

// startOn starts a program on a node.
func startOn(t testing.TB, node *harness.Node, args ...string) *process {
	t.Helper()
	p := &process{done: make(chan struct{}), log: &bytes.Buffer{}}
	p.cmd = node.Command(context.Background(), args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %v: %v", args, err)
	}
	go func() {
		defer close(p.done)
		// How it ends is seen in its log.
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() { p.stop(t, syscall.SIGKILL) })
	p.until(t, 10*time.Second, "child of nsenter", func() error {
		// What nsenter started is its only child.
		id := p.cmd.Process.Pid
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", id, id))
		if err != nil {
			return err
		}
		p.pid, err = strconv.Atoi(strings.TrimSpace(string(children)))
		return err
	})
	return p
}

// stop ends the process with a signal and waits for its end.
func (p *process) stop(t testing.TB, sig syscall.Signal) {
	t.Helper()
	select {
	case <-p.done:
		return
	default:
	}
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not end", p.cmd.Args[len(p.cmd.Args)-1])
	}
}

// until polls a condition that the process has to bring about, without the
// pauses of harness.Eventually: it is part of what is measured.
func (p *process) until(t testing.TB, limit time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%s: the process has ended:\n%s", what, p.log)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// residentMB is the process's resident memory, VmRSS of proc(5).
func (p *process) residentMB(t testing.TB) float64 {
	t.Helper()
	kb, err := strconv.ParseFloat(strings.TrimSuffix(field(fmt.Sprintf("/proc/%d/status", p.pid), "VmRSS"), " kB"), 64)
	if err != nil {
		t.Fatalf("resident memory of %d: %v", p.pid, err)
	}
	return kb / 1024
}

// cpu is the processor time that the process used so far, in itself and in the
// kernel. Children that it waited for are part of it: a backend that executes
// programs pays for them.
type cpu struct{ user, system time.Duration }

// tick is the unit of times in /proc/PID/stat; it is 100 Hz on every Linux
// that Go runs on.
const tick = 10 * time.Millisecond

func (p *process) cpu(t testing.TB) cpu {
	t.Helper()
	stat := content(fmt.Sprintf("/proc/%d/stat", p.pid))
	// The second field is the program's name, which may hold anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	var ticks [4]int64 // utime, stime, cutime, cstime: fields 14 to 17
	for i := range ticks {
		n, err := strconv.ParseInt(fields[11+i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		ticks[i] = n
	}
	return cpu{user: time.Duration(ticks[0]+ticks[2]) * tick, system: time.Duration(ticks[1]+ticks[3]) * tick}
}

// helpers counts the process's children.
func (p *process) helpers() int {
	count := 0
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.pid))
	if err != nil {
		return 0
	}
	for _, file := range tasks {
		count += len(strings.Fields(content(file)))
	}
	return count
}

// healthy asks the daemon's admin API whether it is ready.
func healthy(client *http.Client) error {
	resp, err := client.Get("http://gangway" + plugin.AdminPath + "health")
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, body)
	}
	return nil
}
