package fwtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// bare is a host that nobody sends packets to.
var bare = setting{engine: "26", policy: "DROP"}

// bulk makes networks of every kind with ports of every kind, in both
// families. The same numbers give the same values; no host port is there twice.
func bulk(networks, portsEach int) firewall.Ruleset {
	var r firewall.Ruleset
	for i := range networks {
		subnets := []netip.Prefix{
			netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 50, byte(i), 0}), 24),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0, 0x50, byte(i)}), 64),
		}
		id := longID(fmt.Sprintf("bulk %d", i))
		n := firewall.Network{ID: id, Bridge: "gw-" + id[:12], Subnets: subnets, Hairpin: subnets, ICC: i%3 != 2}
		switch i % 4 {
		case 0:
			n.Masquerade = subnets
		case 1:
			n.Masquerade = subnets[i/4%2:][:1]
		case 3:
			n.Internal, n.Hairpin = true, nil
			if i%8 == 7 {
				n.Gateways = []netip.Addr{subnets[0].Addr().Next().Next(), subnets[1].Addr().Next().Next()}
			}
		}
		r.Networks = append(r.Networks, n)
		for j := range portsEach {
			r.Ports = append(r.Ports, bulkPorts(id, subnets, 1000*(i+1)+180*j, i, j)...)
		}
	}
	return r
}

func bulkPorts(network string, subnets []netip.Prefix, first, i, j int) []firewall.Port {
	one, loopback := addresses["host2"], addresses["loopback"]
	hosts := [][]netip.Addr{
		{netip.IPv4Unspecified(), netip.IPv6Unspecified()},
		one[:],
		loopback[:1],
	}[j%3]
	var out []firewall.Port
	for k, host := range hosts {
		out = append(out, firewall.Port{
			NetworkID:  network,
			EndpointID: longID(fmt.Sprintf("endpoint %s %d", network, j)),
			Published: spec.Published{
				Proto:          [...]spec.Protocol{spec.TCP, spec.UDP, spec.SCTP}[j%3],
				HostIP:         host,
				First:          uint16(first),
				Last:           uint16(first + j%2*79),
				ContainerIP:    subnets[k].Addr().Next().Next(),
				ContainerFirst: uint16(first - (i+j)/2%2*100),
			},
		})
	}
	return out
}

// fresh is the dump of a host on which nothing ever was but full.
func (s *suite) fresh(t *testing.T, set setting, full firewall.Ruleset) []string {
	t.Helper()
	h := newHost(t, s.opts, set)
	s.backend(t, h).sync(t, full)
	return dump(t, h)
}

// deltas shows what Apply makes of single deltas, by the rules alone.
func (s *suite) deltas(t *testing.T) {
	full := bulk(4, 4)
	h := newHost(t, s.opts, bare)
	before := dump(t, h)
	b := s.backend(t, h)
	want := s.fresh(t, bare, full)
	same := func(what string, want []string) {
		t.Helper()
		sameDump(t, what, dump(t, h), want)
	}
	b.remove(t, full)
	same("removed what was never there", before)
	b.add(t, full)
	same("added", want)
	b.add(t, full)
	same("added twice", want)
	b.apply(t, firewall.Delta{Remove: full, Add: full})
	same("removed and added in one step", want)

	stamp := identities(t, h)
	b.apply(t, firewall.Delta{})
	if got := identities(t, h); !slices.Equal(got, stamp) {
		t.Errorf("an empty delta wrote: %q", minus(got, stamp))
	}

	changed := full
	changed.Networks = slices.Clone(full.Networks)
	changed.Ports = slices.Clone(full.Ports)
	changed.Networks[0].ICC = !full.Networks[0].ICC
	changed.Networks[0].Masquerade = nil
	changed.Ports[0].ContainerIP = full.Ports[0].ContainerIP.Next()
	changed.Ports[0].Last++
	b.apply(t, firewall.Delta{
		Remove: firewall.Ruleset{Networks: full.Networks[:1], Ports: full.Ports[:1]},
		Add:    firewall.Ruleset{Networks: changed.Networks[:1], Ports: changed.Ports[:1]},
	})
	same("replaced", s.fresh(t, bare, changed))
	b.settled(t, changed)

	b.remove(t, firewall.Ruleset{Ports: changed.Ports})
	same("without ports", s.fresh(t, bare, firewall.Ruleset{Networks: changed.Networks}))
	b.remove(t, firewall.Ruleset{Networks: changed.Networks})
	same("removed", before)
	b.remove(t, changed)
	same("removed twice", before)

	s.reversed(t, full, want)
	s.concurrently(t, full, want)
}

// reversed shows that the order of elements and of deltas means nothing.
func (s *suite) reversed(t *testing.T, full firewall.Ruleset, want []string) {
	t.Helper()
	h := newHost(t, s.opts, bare)
	b := s.backend(t, h)
	for _, n := range slices.Backward(full.Networks) {
		r := firewall.Ruleset{Networks: []firewall.Network{n}}
		for _, p := range slices.Backward(full.Ports) {
			if p.NetworkID == n.ID {
				r.Ports = append(r.Ports, p)
			}
		}
		b.add(t, r)
	}
	sameDump(t, "added backwards", dump(t, h), want)
}

// concurrently shows that a backend may be used from many sides.
func (s *suite) concurrently(t *testing.T, full firewall.Ruleset, want []string) {
	t.Helper()
	h := newHost(t, s.opts, bare)
	before := dump(t, h)
	b := s.backend(t, h)
	all := func(apply func(r firewall.Ruleset) firewall.Delta) {
		t.Helper()
		var wg sync.WaitGroup
		errs := make([]error, len(full.Networks))
		for i, n := range full.Networks {
			r := firewall.Ruleset{Networks: full.Networks[i : i+1]}
			for _, p := range full.Ports {
				if p.NetworkID == n.ID {
					r.Ports = append(r.Ports, p)
				}
			}
			wg.Go(func() { errs[i] = b.tryApply(context.Background(), apply(r)) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Errorf("concurrent Apply: %v", err)
		}
	}
	all(func(r firewall.Ruleset) firewall.Delta { return firewall.Delta{Add: r} })
	sameDump(t, "added concurrently", dump(t, h), want)
	all(func(r firewall.Ruleset) firewall.Delta { return firewall.Delta{Remove: r} })
	sameDump(t, "removed concurrently", dump(t, h), before)
}

// sequences shows, with random deltas, that the way to a ruleset does not
// matter.
func (s *suite) sequences(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			set := setting{engine: [...]string{"", "26", "28"}[seed%3], policy: "DROP"}
			h := newHost(t, s.opts, set)
			before := dump(t, h)
			b := s.backend(t, h)
			m := model{rnd: rand.New(rand.NewPCG(seed, 4)), all: withPeers(bulk(5, 5)), in: map[any]bool{}, high: map[spec.Protocol]firewall.HighPorts{}}
			for step := range 40 {
				b.apply(t, m.step())
				if step%10 != 9 {
					continue
				}
				now := m.ruleset()
				sameDump(t, fmt.Sprintf("step %d", step), dump(t, h), s.fresh(t, set, now))
				if t.Failed() {
					t.FailNow()
				}
				b.settled(t, now)
			}
			b.remove(t, m.ruleset())
			sameDump(t, "removed", dump(t, h), before)
		})
	}
}

// model knows which elements of all should be in the kernel.
type model struct {
	rnd *rand.Rand
	all firewall.Ruleset
	in  map[any]bool
	// high are the ranges of ports that should be there.
	high map[spec.Protocol]firewall.HighPorts
}

// step chooses a delta and takes note of it. Now and then it removes what is
// not there and adds what is. A network takes its ports along, and brings only
// such as it has.
func (m *model) step() firewall.Delta {
	var d firewall.Delta
	for i, n := range m.all.Networks {
		flip := m.rnd.IntN(4) == 0
		switch {
		case flip && m.in[i]:
			d.Remove.Networks = append(d.Remove.Networks, n)
		case flip, m.in[i] && m.rnd.IntN(8) == 0:
			d.Add.Networks = append(d.Add.Networks, n)
		}
		m.in[i] = m.in[i] != flip
	}
	for _, p := range m.all.Ports {
		has := m.in[slices.IndexFunc(m.all.Networks, func(n firewall.Network) bool { return n.ID == p.NetworkID })]
		switch {
		case !has && (m.in[p] || m.rnd.IntN(8) == 0), has && m.in[p] && m.rnd.IntN(3) == 0:
			d.Remove.Ports = append(d.Remove.Ports, p)
			m.in[p] = false
		case has && m.rnd.IntN(3) == 0:
			d.Add.Ports = append(d.Add.Ports, p)
			m.in[p] = true
		}
	}
	m.movePeers(&d)
	m.moveHigh(&d)
	return d
}

// movePeers adds and removes halves, which go with their network as ports do.
func (m *model) movePeers(d *firewall.Delta) {
	for _, p := range m.all.Peers {
		has := m.in[slices.IndexFunc(m.all.Networks, func(n firewall.Network) bool { return n.ID == p.NetworkID })]
		switch {
		case m.in[p] && (!has || m.rnd.IntN(3) == 0):
			d.Remove.Peers = append(d.Remove.Peers, p)
			m.in[p] = false
		case has && m.rnd.IntN(3) == 0:
			d.Add.Peers = append(d.Add.Peers, p)
			m.in[p] = true
		}
	}
}

// moveHigh gives a protocol another range, or none. What is added takes the place of what
// there is, whether that is removed or not.
func (m *model) moveHigh(d *firewall.Delta) {
	p := [...]spec.Protocol{spec.TCP, spec.UDP, spec.SCTP}[m.rnd.IntN(3)]
	old, has := m.high[p]
	if has && m.rnd.IntN(2) == 0 {
		d.Remove.HighPorts = append(d.Remove.HighPorts, old)
		delete(m.high, p)
	}
	if m.rnd.IntN(2) == 0 {
		first := uint16(40000 + m.rnd.IntN(100))
		m.high[p] = firewall.HighPorts{Proto: p, First: first, Last: first + uint16(m.rnd.IntN(3))}
		d.Add.HighPorts = append(d.Add.HighPorts, m.high[p])
	}
}

// ruleset is what should be there.
func (m *model) ruleset() firewall.Ruleset {
	var r firewall.Ruleset
	for i, n := range m.all.Networks {
		if m.in[i] {
			r.Networks = append(r.Networks, n)
		}
	}
	for _, p := range m.all.Ports {
		if m.in[p] {
			r.Ports = append(r.Ports, p)
		}
	}
	for _, p := range m.all.Peers {
		if m.in[p] {
			r.Peers = append(r.Peers, p)
		}
	}
	r.HighPorts = slices.Collect(maps.Values(m.high))
	return r
}

// cancelled shows that a context that is over changes nothing.
func (s *suite) cancelled(t *testing.T) {
	h := newHost(t, s.opts, bare)
	b := s.backend(t, h)
	full := bulk(2, 2)
	b.add(t, firewall.Ruleset{Networks: full.Networks[:1]})
	stamp := identities(t, h)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, call := range map[string]func() error{
		"Apply":   func() error { return b.Apply(ctx, firewall.Delta{Add: full}) },
		"Sync":    func() error { _, err := b.Sync(ctx, full); return err },
		"Repair":  func() error { _, err := b.Repair(ctx); return err },
		"Cleanup": func() error { return b.Cleanup(ctx) },
	} {
		if err := h.do(call); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: error %v, want context.Canceled", name, err)
		}
	}
	if got := identities(t, h); !slices.Equal(got, stamp) {
		t.Errorf("a cancelled call wrote: %q", minus(got, stamp))
	}
}
