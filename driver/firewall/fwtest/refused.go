package fwtest

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/rawip"
)

// sent is some datagrams, and for what they have to be counted.
type sent struct {
	from, to string
	// as is whose address is their source, if not from's.
	as     string
	port   uint16
	reason firewall.Reason
	// network is the name of its gateway; addr that of the container, empty for the
	// network alone.
	network, addr string
	// loopback is to 127.0.0.1.
	loopback bool
}

func (s sent) String() string {
	text := fmt.Sprintf("%s to %s port %d", s.from, s.to, s.port)
	if s.as != "" {
		text += " as " + s.as
	}
	return text
}

// sentRefused are datagrams of all kinds that are refused.
func (w *world) sentRefused(set setting) []sent {
	list := []sent{
		{from: "outside", to: "a1", port: 81, reason: firewall.Unpublished, network: "A", addr: "a1"},
		{from: "lan", to: "b1", port: 80, reason: firewall.Unpublished, network: "B", addr: "b1"},
		{from: "b1", to: "a1", port: 80, reason: firewall.Isolated, network: "A", addr: "a1"},
		{from: "a1", to: "n2", port: 80, reason: firewall.Isolated, network: "N", addr: "n2"},
		{from: "d1", to: "b1", port: 80, reason: firewall.Isolated, network: "B", addr: "b1"},
		{from: "a2", to: "d1", port: 80, reason: firewall.Isolated, network: "A", addr: "a2"},
		{from: "i1", to: "outside", port: 80, reason: firewall.Isolated, network: "I", addr: "i1"},
		{from: "i1", to: "a1", port: 80, reason: firewall.Isolated, network: "I", addr: "i1"},
		{from: "outside", to: "i2", port: 80, reason: firewall.Isolated, network: "I", addr: "i2"},
		{from: "a1", to: "i2", port: 80, reason: firewall.Isolated, network: "I", addr: "i2"},
		{from: "n1", to: "n2", port: 80, reason: firewall.NoICC, network: "N", addr: "n2"},
		{from: "outside", to: "host", as: "a2", port: 80, reason: firewall.Spoofed, network: "A", addr: "a2"},
		{from: "b1", to: "outside", as: "a1", port: 80, reason: firewall.Spoofed, network: "A", addr: "a1"},
		{from: "d1", to: "host", as: "n1", port: 80, reason: firewall.Spoofed, network: "N", addr: "n1"},
		{from: "a1", to: "loopback", port: hostPort, reason: firewall.Spoofed, network: "A", loopback: true},
	}
	if set.engine == engine29 { // it drops what goes to d1 itself, and first
		list = slices.DeleteFunc(list, func(c sent) bool { return c.to == "d1" })
	}
	if !w.opts.Owned { // the fail-closed table may drop it, whichever of the two is asked first
		list = slices.DeleteFunc(list, func(c sent) bool { return c.loopback })
	}
	return list
}

// sentAccepted are the same datagrams, but for what lets them pass.
func sentAccepted() []sent {
	return []sent{
		{from: "outside", to: "host", port: 8080},
		{from: "lan", to: "host", port: 8090},
		{from: "b1", to: "host", port: 8080},
		{from: "a1", to: "a2", port: 80},
		{from: "a1", to: "outside", port: 80},
		{from: "n1", to: "lan", port: 80},
		{from: "i1", to: "i2", port: 80},
		{from: "outside", to: "host", port: hostPort},
	}
}

// perSent is how many datagrams each of them is in each family.
const perSent = 3

// refused shows that what is refused is counted, for whom and why, and nothing else.
func (s *suite) refused(t *testing.T) {
	for _, set := range s.possible(
		setting{engine: "26", policy: "DROP", bridged: true},
		setting{engine: "", policy: "ACCEPT", bridged: false},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			// As package link has it, so that what kernels send to all stays where it is.
			for _, port := range []string{"v-n1", "v-n2"} {
				w.host.mustCommand(t, "", "bridge", "link", "set", "dev", port, "mcast_flood", "off")
			}
			b := s.backend(t, w.host)
			b.counts(t, s.opts, "without a rule", nil)
			b.add(t, everything())
			want := map[firewall.Refusal]uint64{}
			w.sendAll(t, sentAccepted(), nil)
			b.counts(t, s.opts, "of what is accepted", want)
			w.sendAll(t, w.sentRefused(set), want)
			b.counts(t, s.opts, "of what is refused", want)
			w.sendAll(t, w.sentRefused(set), want)
			b.settled(t, everything())
			b = s.backend(t, w.host)
			b.settled(t, everything())
			b.counts(t, s.opts, "once more, with a backend that has found the rules", want)
			if s.opts.ByAddress {
				w.invented(t, want)
				b.counts(t, s.opts, "of more addresses than are counted", want)
			}
			if set.engine != "" && !s.opts.NoIPTables {
				w.dockerUser(t)
				w.sendAll(t, []sent{{from: "lan", to: "b1", port: 80}}, nil)
				b.counts(t, s.opts, "of what the administrator accepts", want)
			}
			b.cleanup(t)
			b.counts(t, s.opts, "after Cleanup", nil)
		})
	}
}

// sendAll sends all datagrams, and adds what has to be counted.
func (w *world) sendAll(t *testing.T, list []sent, want map[firewall.Refusal]uint64) {
	t.Helper()
	for _, c := range list {
		wire := newWire(t, w.nodes[c.from], w.host.link(t, nearEnd(c.from)).Attrs().HardwareAddr)
		for _, f := range families {
			if c.loopback && f == v6 {
				continue
			}
			as := c.from
			if c.as != "" {
				as = c.as
			}
			from := netip.AddrPortFrom(addresses[as][f], firstVictimPort)
			for range perSent {
				if err := wire.send(rawip.Datagram(from, netip.AddrPortFrom(addresses[c.to][f], c.port), "counted")); err != nil {
					t.Fatalf("%s: %v", c, err)
				}
			}
			if c.reason == "" {
				continue
			}
			r := firewall.Refusal{Reason: c.reason, Bridge: bridgeAt(c.network)}
			if c.addr != "" {
				r.Addr = addresses[c.addr][f]
			}
			want[r] += perSent
		}
	}
}

// bridgeAt is the bridge of a gateway.
func bridgeAt(gateway string) string {
	for _, l := range lans {
		if l.gateway == gateway {
			return l.bridge
		}
	}
	panic("no gateway " + gateway)
}

// invented sends from outside to many addresses that nobody has.
func (w *world) invented(t *testing.T, want map[firewall.Refusal]uint64) {
	t.Helper()
	const many = 3000
	wire := newWire(t, w.nodes["outside"], w.host.link(t, nearEnd("outside")).Attrs().HardwareAddr)
	from, to := netip.AddrPortFrom(addresses["outside"][v6], firstVictimPort), addresses["b1"][v6]
	for range many {
		to = to.Next()
		if err := wire.send(rawip.Datagram(from, netip.AddrPortFrom(to, 80), "counted")); err != nil {
			t.Fatal(err)
		}
		want[firewall.Refusal{Reason: firewall.Unpublished, Bridge: networkB.Bridge, Addr: to}]++
	}
}

// counts waits until the backend says what is wanted: what was sent over a wire may be
// on its way still.
func (b *backend) counts(t *testing.T, o Options, what string, want map[firewall.Refusal]uint64) {
	t.Helper()
	var diff string
	for deadline := time.Now().Add(patience); ; {
		got, addresses := b.refusals(t)
		if diff = cmp.Diff(byNetwork(want), byNetwork(got)); diff == "" && o.ByAddress && want != nil && len(want) < 1000 {
			diff = cmp.Diff(want, got)
		}
		if limit := 3000; addresses > limit {
			diff += fmt.Sprintf("%d addresses, more than %d", addresses, limit)
		}
		if diff == "" || time.Now().After(deadline) {
			break
		}
		<-time.After(impatience / 10)
	}
	if diff != "" {
		t.Errorf("count %s (-want +got):\n%s", what, diff)
	}
}

// refusals asks the backend; what was overruled does not count.
func (b *backend) refusals(t *testing.T) (got map[firewall.Refusal]uint64, addresses int) {
	t.Helper()
	var list []firewall.Refusal
	b.host.must(t, func() (err error) {
		list, err = b.Backend.(firewall.Counter).Refused(context.Background())
		return err
	})
	got, names := map[firewall.Refusal]uint64{}, map[string]bool{}
	for _, r := range list {
		if r.Addr.IsValid() {
			addresses++
		}
		if names[r.Counter] {
			t.Errorf("%q is there twice", r.Counter)
		}
		names[r.Counter] = true
		if n := r.Packets - r.Overruled; n > 0 {
			got[firewall.Refusal{Reason: r.Reason, Bridge: r.Bridge, Addr: r.Addr}] += n
		}
	}
	return got, addresses
}

// byNetwork leaves the addresses out.
func byNetwork(list map[firewall.Refusal]uint64) map[string]uint64 {
	sums := map[string]uint64{}
	for _, r := range slices.Collect(maps.Keys(list)) {
		sums[string(r.Reason)+" "+r.Bridge] += list[r]
	}
	return sums
}
