// Package enter runs code in the network namespace of a container.
//
// Invariant: no thread of the process stays there. It makes nothing in the namespace; what
// the code does is the caller's.
package enter

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Namespace runs f in the network namespace at path, on a thread of its own, which ends with
// f: the rejected alternative, to go back on a thread that is kept, may fail and leave it
// there. Sockets that f opens stay in the namespace. Goroutines that f starts are not in it.
func Namespace(path string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if unix.Gettid() != unix.Getpid() {
			done <- within(path, f)
			return
		}
		// Go keeps the process's first thread for good, and /proc/net is that one's. While
		// this goroutine has it, the next one has another.
		defer runtime.UnlockOSThread()
		done <- Namespace(path, f)
	}()
	return <-done
}

func within(path string, f func() error) error {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("open the network namespace %s: %w", path, err)
	}
	defer func() { _ = ns.Close() }()
	if err = netns.Set(ns); err != nil {
		return fmt.Errorf("enter the network namespace %s: %w", path, err)
	}
	return f()
}
