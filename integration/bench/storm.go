package bench

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// stormClients is how many clients of a storm call at once.
const stormClients = 4

// storm measures the calls of containers that start and end at once, each client's on a
// network of its own, with n endpoints present. What a check, which each of them wakes,
// keeps verbs from shows in the 99th percentile.
func (s *station) storm(t testing.TB, m mode, to *Results, n int) {
	var mu sync.Mutex
	times := map[string][]float64{}
	note := func(op string, took time.Duration) {
		_, name, _ := strings.Cut(op, ".")
		mu.Lock()
		defer mu.Unlock()
		times[name] = append(times[name], float64(took.Nanoseconds())/1e3)
	}
	var clients sync.WaitGroup
	for c := range stormClients {
		net := s.network(t)
		clients.Go(func() {
			for i := range m.verbs {
				e := member(net, i%perNetwork)
				e.first, e.ports = 40000+c, 1
				s.come(t, e, note)
				s.leave(t, e, note)
			}
		})
	}
	clients.Wait()
	for name, took := range times {
		f := Figure{Part: partVerbs, N: n, Variant: s.variant.Name, Unit: "us"}
		for ending, q := range map[string]float64{" p50": 0.5, " p99": 0.99} {
			f.Name = name + " in a storm" + ending
			to.add(f, quantile(took, q))
		}
	}
}
