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

// listen makes a listening socket whose name is the one that the node sees. A
// thread enters the node's file systems for that and ends with the goroutine.
func (n *Node) listen(path string) (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		file, err := n.listenHere(path)
		done <- result{file, err}
	}()
	r := <-done
	return r.file, r.err
}

func (n *Node) listenHere(path string) (*os.File, error) {
	mounts, err := os.Open(fmt.Sprintf("/proc/%d/ns/mnt", n.pid))
	if err != nil {
		return nil, err
	}
	defer mounts.Close() //nolint:errcheck // it was only entered
	// setns(2): a mount namespace is entered without other threads' file system
	// attributes.
	if err = unix.Unshare(unix.CLONE_FS); err != nil {
		return nil, os.NewSyscallError("unshare", err)
	}
	if err = unix.Setns(int(mounts.Fd()), unix.CLONE_NEWNS); err != nil {
		return nil, os.NewSyscallError("setns", err)
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err = os.Remove(path); err != nil && !os.IsNotExist(err) {
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
