// Package nstest gives tests network namespaces of their own, so that what
// they do to links, routes and rules never touches the host.
package nstest

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// reexecEnv tells the second run of a test binary that it is inside.
const reexecEnv = "GANGWAY_NSTEST_INSIDE"

// Main runs a package's tests in a new network and mount namespace, by
// executing the test binary once more inside of them. Call it from TestMain:
//
//	func TestMain(m *testing.M) { nstest.Main(m) }
//
// Every goroutine of the tests then lives in the private namespace, with
// loopback up and a /sys that belongs to it. It needs root.
func Main(m *testing.M) {
	if os.Getenv(reexecEnv) != "" {
		if err := prepare(); err != nil {
			panic(err)
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	lock, err := os.CreateTemp("", "xtables-lock-")
	if err != nil {
		panic(err)
	}
	// Legacy iptables has one lock for all network namespaces of a host, and other
	// packages' tests run beside these.
	cmd.Env = append(os.Environ(), reexecEnv+"=1", "XTABLES_LOCKFILE="+lock.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	err = cmd.Run()
	_ = errors.Join(lock.Close(), os.Remove(lock.Name()))
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	default:
		panic("nstest: run the tests in a network namespace (needs root): " + err.Error())
	}
}

func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return loopbackUp()
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// Do runs f on a thread of its own in a new network namespace with loopback
// up. The namespace ends with f, unless something f left behind holds it.
// Goroutines that f starts do not live in the namespace; processes it
// starts do.
func Do(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		// The thread is never unlocked: it ends with the goroutine, and the
		// namespace with it.
		runtime.LockOSThread()
		var err error
		defer func() { done <- err }()
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return
		}
		if err = loopbackUp(); err != nil {
			return
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
}
