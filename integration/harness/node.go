package harness

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// commandLimit ends every command that a test runs; none may hang the run.
const commandLimit = 2 * time.Minute

// Node is a machine of its own as far as namespaces go: network, mounts,
// processes, host name and IPC.
type Node struct {
	// Name is its host name.
	Name string
	pid  int
	cmd  *exec.Cmd
	stop io.Closer
}

// startNode starts the node's first process and waits until it is set up. The
// node ends with the test.
func startNode(t testing.TB, cfg nodeConfig) *Node {
	t.Helper()
	n, err := newNode(cfg)
	if err != nil {
		t.Fatalf("start node %s: %v", cfg.Hostname, err)
	}
	t.Cleanup(func() {
		if err := n.end(cfg); err != nil {
			t.Errorf("end node %s: %v", n.Name, err)
		}
	})
	return n
}

func newNode(cfg nodeConfig) (*Node, error) {
	encoded, err := json.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.Cgroup != "" {
		offerControllers()
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), nodeEnv+"="+string(encoded))
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		// A ^C at the terminal is for the test, which then ends its nodes.
		Setpgid: true,
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n := &Node{Name: cfg.Hostname, pid: cmd.Process.Pid, cmd: cmd, stop: stdin}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		return nil, errors.Join(err, n.end(cfg), errors.New(stderr.String()))
	}
	if _, err := n.Try("ip", "link", "set", "lo", "up"); err != nil {
		return nil, errors.Join(err, n.end(cfg))
	}
	return n, nil
}

// end kills everything in the node and waits for it to be gone.
func (n *Node) end(cfg nodeConfig) error {
	err := n.stop.Close()
	if kerr := n.cmd.Process.Kill(); kerr != nil && !errors.Is(kerr, os.ErrProcessDone) {
		err = errors.Join(err, kerr)
	}
	var exit *exec.ExitError
	// The first process returns from wait only after the last one of its
	// namespace has ended (pid_namespaces(7)).
	if werr := n.cmd.Wait(); werr != nil && !errors.As(werr, &exit) {
		err = errors.Join(err, werr)
	}
	if cfg.Cgroup != "" {
		err = errors.Join(err, removeCgroups(cfg.Cgroup))
	}
	if cfg.Dir != "" {
		err = errors.Join(err, os.RemoveAll(cfg.Dir))
	}
	return err
}

// Path returns the path by which the test reaches a file of the node.
func (n *Node) Path(inside string) string {
	return fmt.Sprintf("/proc/%d/root%s", n.pid, inside)
}

// Command prepares a command inside the node. It is killed with all it started
// when ctx ends.
func (n *Node) Command(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(n.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Try runs a command inside the node and returns its standard output without
// the white space around it. The error has the arguments and what the command
// wrote to standard error.
func (n *Node) Try(args ...string) (string, error) {
	return n.tryInput(nil, args...)
}

func (n *Node) tryInput(stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := n.Command(ctx, args...)
	cmd.Stdin = stdin
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %s: %w: %s", n.Name, strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), err
}

// Run is Try for commands that have to succeed.
func (n *Node) Run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := n.Try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
