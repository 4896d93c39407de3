package faulttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// size returns how much of a load to put on: little in every run, all of it
// with GANGWAY_TEST_LONG.
func size(little, all int) int {
	if long() {
		return all
	}
	return little
}

// crowdNetworks is how many networks the crowd is spread over.
const crowdNetworks = 8

// member is the i-th container of a crowd, with one published port.
type member struct {
	network, endpoint string
	n, h              byte
	port              int
}

func crowd(i int) member {
	return member{
		network: networkID(i % crowdNetworks), endpoint: fmt.Sprintf("%08dcccc", i),
		n: byte(i % crowdNetworks), h: byte(2 + i/crowdNetworks), port: 20000 + i,
	}
}

// start brings the container up.
func (m member) start(ctx context.Context, w *world) error {
	if _, err := w.CreateEndpoint(ctx, endpointRequest(m.network, m.endpoint, m.n, m.h)); err != nil {
		return err
	}
	if _, err := w.Join(ctx, m.network, m.endpoint, "/netns/"+m.endpoint, nil); err != nil {
		return err
	}
	return w.Publish(ctx, m.network, m.endpoint, ports(m.port, 80))
}

// stop takes it down.
func (m member) stop(ctx context.Context, w *world) error {
	return errors.Join(
		w.Unpublish(ctx, m.network, m.endpoint),
		w.Leave(ctx, m.network, m.endpoint),
		w.DeleteEndpoint(ctx, m.network, m.endpoint))
}

func crowded(t *testing.T, w *world) {
	t.Helper()
	for n := range crowdNetworks {
		do(t, w, "create network", func(ctx context.Context, w *world) error {
			return w.CreateNetwork(ctx, networkRequest(networkID(n), byte(n)))
		})
	}
}

func deserted(t *testing.T, w *world) {
	t.Helper()
	for n := range crowdNetworks {
		do(t, w, "delete network", func(ctx context.Context, w *world) error { return w.DeleteNetwork(ctx, networkID(n)) })
	}
}

// TestCrowd has 1000 containers on several networks. It logs what a start and a
// comparison cost when there are few and when there are all.
func TestCrowd(t *testing.T) {
	all := size(24, 1000)
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		crowded(t, w)
		const sample = 10
		var first, last time.Duration
		for i := range all {
			began := time.Now()
			do(t, w, "start", crowd(i).start)
			switch took := time.Since(began); {
			case i < sample:
				first += took
			case i >= all-sample:
				last += took
			}
		}
		began := time.Now()
		w.sound(t, "with all of them")
		compared := time.Since(began)
		w.close()
		began = time.Now()
		w = mustOpen(t, backend, dir)
		restored := time.Since(began)
		if s := w.Status(t.Context()); s.Endpoints != all {
			t.Errorf("status %+v", s)
		}
		w.sound(t, "after a restart")
		began = time.Now()
		deserted(t, w)
		t.Logf("%d containers: start %s at first and %s at last, comparison %s, restart %s, removal %s",
			all, first/sample, last/sample, compared, restored, time.Since(began))
	})
}

// TestParallelVerbs starts and stops 200 containers at the same time.
func TestParallelVerbs(t *testing.T) {
	all := size(24, 200)
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer w.close()
		crowded(t, w)
		together := func(what string, verb func(member) error) {
			began := time.Now()
			var wg sync.WaitGroup
			for i := range all {
				wg.Go(func() {
					if err := verb(crowd(i)); err != nil {
						t.Errorf("%s %d: %v", what, i, err)
					}
				})
			}
			wg.Go(func() { w.Reconcile(t.Context()) })
			wg.Wait()
			t.Logf("%s of %d at once: %s", what, all, time.Since(began))
			w.sound(t, what)
		}
		together("start", func(m member) error { return m.start(t.Context(), w) })
		if s := w.Status(t.Context()); s.Endpoints != all || s.Ports != 2*all {
			t.Errorf("status %+v", s)
		}
		together("stop", func(m member) error { return m.stop(t.Context(), w) })
		if s := w.Status(t.Context()); s.Endpoints != 0 || s.Ports != 0 {
			t.Errorf("status %+v", s)
		}
		deserted(t, w)
	})
}

// TestChurn starts and stops containers for a day's worth, 10 000 times, eight
// at once, with a comparison after each round. Memory, descriptors and
// goroutines stay as they were after the first round, and kernel and store hold
// what they held.
func TestChurn(t *testing.T) {
	const at, round = 8, 32
	cycles := size(2*round, 10_000)
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer w.close()
		crowded(t, w)
		churn(t, w, round, at)
		before, kernel := used(t), w.picture(t)
		began := time.Now()
		for done := 0; done < cycles; done += round {
			churn(t, w, min(round, cycles-done), at)
		}
		took := time.Since(began)
		grows := func(u usage) bool {
			return u.descriptors > before.descriptors+2 || u.goroutines > before.goroutines+2 || u.heap > before.heap+8<<20
		}
		after := used(t)
		// The last links' removals are waited for in the background.
		for deadline := time.Now().Add(testkit.Patience); grows(after) && time.Now().Before(deadline); after = used(t) {
			time.Sleep(5 * time.Millisecond)
		}
		same(t, "after the churn", kernel, w.picture(t))
		t.Logf("%d cycles, %s each: %+v, then %+v; kernel and store: %d lines", cycles, took/time.Duration(cycles), before, after, strings.Count(kernel, "\n"))
		if grows(after) {
			t.Errorf("it grows: %+v, then %+v", before, after)
		}
		deserted(t, w)
	})
}

// churn starts and stops so many containers, some of them at once.
func churn(t *testing.T, w *world, containers, at int) {
	t.Helper()
	next := make(chan int)
	var wg sync.WaitGroup
	for range at {
		wg.Go(func() {
			for i := range next {
				m := crowd(i)
				if err := m.start(t.Context(), w); err != nil {
					t.Errorf("start %d: %v", i, err)
				}
				if err := m.stop(t.Context(), w); err != nil {
					t.Errorf("stop %d: %v", i, err)
				}
			}
		})
	}
	for i := range containers {
		next <- i
	}
	close(next)
	wg.Wait()
	w.sound(t, "churn")
}

// usage is what the process holds.
type usage struct {
	descriptors, goroutines int
	// heap is in bytes.
	heap uint64
}

func used(t *testing.T) usage {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{len(entries), runtime.NumGoroutine(), m.HeapAlloc}
}
