package fwtest

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/nstest"
)

// Forward measures the ways of single packets through a host: the processor time of each.
// Flows that begin stay in the connection table, so -benchtime 20000x is about as much as
// makes sense.
func Forward(b *testing.B, c Crossing) {
	for _, w := range ways() {
		b.Run(w.name, func(b *testing.B) {
			nstest.Do(&testing.T{}, func() {
				h := newCrossing(b, c)
				defer h.close()
				send := w.on(h)
				before := threadTime(b)
				for i := 1; b.Loop(); i++ {
					send(i)
				}
				b.ReportMetric(float64(threadTime(b)-before)/float64(b.N), "cpu-ns/op")
			})
		})
	}
}

// threadTime is what the calling thread has had of the processor: on a machine
// that does more, it says more than the clock. What the kernel tells by getrusage is
// counted by its ticks.
func threadTime(b testing.TB) time.Duration {
	b.Helper()
	var used unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Nano())
}
