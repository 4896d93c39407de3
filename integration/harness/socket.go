package harness

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// PluginSocket is where the engine looks for a plain daemon, inside its tree.
const PluginSocket = "/run/docker/plugins/gangway.sock"

// HoldSocket makes gangway's socket as a service manager does, which keeps it
// and passes it to each gangway that starts from now on. It is given up at the
// end of the test, and gangway starts with a socket of its own again then. Call
// it while gangway is down.
func (e *Engine) HoldSocket(t testing.TB) {
	t.Helper()
	file, err := e.listen(PluginSocket)
	if err != nil {
		t.Fatalf("hold the socket %s: %v", PluginSocket, err)
	}
	e.held = file
	t.Cleanup(func() {
		e.StopGangway(t)
		e.held = nil
		if err := file.Close(); err != nil {
			t.Error(err)
		}
		e.StartGangway(t)
	})
}

// Listen listens on a unix socket inside the node, for root only. The test that
// calls it answers there.
func (n *Node) Listen(path string) (net.Listener, error) {
	file, err := n.listen(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // the listener has a descriptor of its own
	return net.FileListener(file)
}

// listen makes a listening socket whose name is the one that the node sees.
func (n *Node) listen(path string) (file *os.File, err error) {
	failed := n.inMounts(func() error {
		file, err = listenHere(path)
		return err
	})
	return file, failed
}

// inMounts runs something that sees the node's file systems. A thread enters them for that, and
// ends with the goroutine.
func (n *Node) inMounts(run func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := n.enterMounts()
		if err == nil {
			err = run()
		}
		done <- err
	}()
	return <-done
}

func (n *Node) enterMounts() error {
	mounts, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", n.pid))
	if err != nil {
		return err
	}
	defer mounts.Close() //nolint:errcheck // it was only entered
	// setns(2): a mount namespace is entered without other threads' file system
	// attributes.
	if err = unix.Unshare(unix.CLONE_FS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	return os.NewSyscallError("setns", unix.Setns(int(mounts.Fd()), unix.CLONE_NEWNS))
}

func listenHere(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	file := os.NewFile(uintptr(fd), path)
	for _, step := range []func() error{
		func() error { return unix.Fchmod(fd, 0o600) },
		func() error { return unix.Bind(fd, &unix.SockaddrUnix{Name: path}) },
		func() error { return unix.Listen(fd, unix.SOMAXCONN) },
	} {
		if err := step(); err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("listen on %s: %w", path, err)
		}
	}
	return file, nil
}
