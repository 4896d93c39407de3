package model

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

func runAt(proto spec.Protocol, host string, first, last int) spec.Published {
	return spec.Published{Proto: proto, HostIP: netip.MustParseAddr(host), First: uint16(first), Last: uint16(last)}
}

// TestPublishedHigh: the index of the state has the high ports of all endpoints, whatever
// came and went.
func TestPublishedHigh(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	s, now := NewState(), map[string]*Endpoint{}
	for range 300 {
		id := fmt.Sprint("e", rnd.IntN(6))
		c := EndpointChange{Before: now[id]}
		if rnd.IntN(3) > 0 {
			var runs []spec.Published
			for range rnd.IntN(3) {
				first := 32700 + rnd.IntN(200)
				host := [...]string{"0.0.0.0", "::", "192.0.2.1", "127.0.0.1"}[rnd.IntN(4)]
				runs = append(runs, runAt([...]spec.Protocol{spec.TCP, spec.UDP}[rnd.IntN(2)], host, first, first+rnd.IntN(40)))
			}
			c.After = &Endpoint{ID: id, NetworkID: "n", MAC: HardwareAddr{2, 0, 0, 0, 0, 1}, Published: runs}
		}
		s.Apply(Change{Endpoints: []EndpointChange{c}})
		if now[id] = c.After; c.After == nil {
			delete(now, id)
		}
		want := map[spec.Listener]bool{}
		for _, e := range now {
			for _, r := range e.Published {
				for p := int(r.First); p <= int(r.Last); p++ {
					if p >= 32768 && !r.HostIP.IsLoopback() {
						want[spec.Listener{Proto: r.Proto, Port: uint16(p)}] = true
					}
				}
			}
		}
		for p := 32700; p < 33000; p++ {
			for _, proto := range []spec.Protocol{spec.TCP, spec.UDP} {
				if l := (spec.Listener{Proto: proto, Port: uint16(p)}); s.High.Has(l) != want[l] {
					t.Fatalf("%v: %t, want %t", l, s.High.Has(l), want[l])
				}
			}
		}
	}
}
