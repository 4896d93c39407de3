package testkit

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// OnEachProcessor calls f on each processor that the thread may use, one after the other,
// and returns how many there are.
func OnEachProcessor(t testing.TB, f func()) (processors int) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	move := func(to *unix.CPUSet) {
		t.Helper()
		if err := unix.SchedSetaffinity(0, to); err != nil {
			t.Fatalf("move the thread to another processor: %v", err)
		}
	}
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatalf("processors of the thread: %v", err)
	}
	defer move(&all)
	for cpu := range len(all) * 64 {
		if !all.IsSet(cpu) {
			continue
		}
		var one unix.CPUSet
		one.Set(cpu)
		move(&one)
		f()
		processors++
	}
	return processors
}
