package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// joinCgroup runs its arguments in the node's own cgroup, where nsenter does
// not put what it starts.
const joinCgroup = `cd /sys/fs/cgroup
if [ -e cgroup.procs ]; then
	echo 0 > init/cgroup.procs
else
	for c in */cgroup.procs; do echo 0 > "$c"; done
fi
cd /
exec "$@"`

// Process is a long-running process inside a node.
type Process struct {
	node *Node
	what string
	pid  int // as the machine counts
	// nsenter is what started it there.
	nsenter *os.Process
	log     string
	done    chan struct{}
	err     error
}

// startProcess starts a process whose output goes to the log file.
func (n *Node) startProcess(log string, args ...string) (*Process, error) {
	return n.startWith(log, nil, args)
}

// startWith is startProcess with open files, which become descriptors 3 and up.
func (n *Node) startWith(log string, files []*os.File, args []string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	cmd := n.Command(context.Background(), args...)
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = out, out, files
	if err := errors.Join(cmd.Start(), out.Close()); err != nil {
		return nil, err
	}
	p := &Process{node: n, what: args[0], log: log, nsenter: cmd.Process, done: make(chan struct{})}
	go func() { p.err = cmd.Wait(); close(p.done) }()
	if err := poll(testkit.Patience, func() error { return p.findPid(cmd) }); err != nil {
		return nil, errors.Join(err, cmd.Cancel())
	}
	return p, nil
}

// startDaemon starts a process in the node's cgroup, with open files.
func (n *Node) startDaemon(log string, files []*os.File, args ...string) (*Process, error) {
	p, err := n.startWith(log, files, append([]string{"sh", "-c", joinCgroup, "sh"}, args...))
	if err == nil {
		p.what = args[0]
	}
	return p, err
}

// findPid finds what nsenter started: its only child.
func (p *Process) findPid(cmd *exec.Cmd) error {
	select {
	case <-p.done:
		return p.exited()
	default:
	}
	var err error
	p.pid, err = onlyChild(cmd.Process.Pid)
	return err
}

// onlyChild returns the child of a process that has one.
func onlyChild(pid int) (int, error) {
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(children)))
}

// exited describes the end of the process with its last words.
func (p *Process) exited() error {
	words := tail(p.log, 30)
	if p.err == nil {
		return fmt.Errorf("%s has ended:\n%s", p.what, words)
	}
	return fmt.Errorf("%s has ended: %w:\n%s", p.what, p.err, words)
}

// alive says whether the process runs.
func (p *Process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends a signal to the process and waits for it to end.
func (p *Process) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if !p.alive() {
		return
	}
	if err := syscall.Kill(p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("signal %s to %s: %v", sig, p.what, err)
	}
	// Where the process was stopped, nsenter has stopped itself, and would not see
	// the end.
	if err := p.nsenter.Signal(syscall.SIGCONT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatalf("continue what runs %s: %v", p.what, err)
	}
	select {
	case <-p.done:
	case <-time.After(testkit.Patience):
		t.Fatalf("%s did not end within %s of signal %s:\n%s", p.what, testkit.Patience, sig, tail(p.log, 30))
	}
}

// output returns what the process wrote so far.
func (p *Process) output(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// tail returns the last lines of a file.
func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// exitedOr is exited for a process that has ended, and an error with the given
// words for one that runs.
func (p *Process) exitedOr(words string) error {
	if !p.alive() {
		return p.exited()
	}
	return errors.New(words)
}
