package driver

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// said is what one counter for a network says.
func said(bridge string, packets, overruled uint64) reading {
	return reading{
		counter: bridge, place: dropPlace{network: bridge, reason: firewall.Unpublished}, packets: packets, overruled: overruled,
	}
}

// TestTally: sums go on whatever counters do, and never back.
func TestTally(t *testing.T) {
	type look struct {
		says []reading
		want uint64
	}
	for name, looks := range map[string][]look{
		"goes on":               {{[]reading{said("a", 5, 0)}, 0}, {[]reading{said("a", 7, 0)}, 2}, {[]reading{said("a", 7, 0)}, 2}, {[]reading{said("a", 8, 0)}, 3}},
		"comes later":           {{nil, 0}, {[]reading{said("a", 5, 0)}, 5}},
		"made anew":             {{nil, 0}, {[]reading{said("a", 5, 0)}, 5}, {[]reading{said("a", 0, 0)}, 5}, {[]reading{said("a", 2, 0)}, 7}},
		"made anew and counted": {{nil, 0}, {[]reading{said("a", 5, 0)}, 5}, {[]reading{said("a", 3, 0)}, 8}},
		"away for a while":      {{nil, 0}, {[]reading{said("a", 5, 0)}, 5}, {nil, 5}, {[]reading{said("a", 5, 0)}, 10}},
		"several":               {{nil, 0}, {[]reading{said("a", 5, 0), said("b", 1, 0)}, 6}},
		"overruled":             {{nil, 0}, {[]reading{said("a", 5, 5)}, 0}, {[]reading{said("a", 9, 7)}, 2}},
		"overruled of late":     {{nil, 0}, {[]reading{said("a", 5, 4)}, 1}, {[]reading{said("a", 5, 5)}, 1}, {[]reading{said("a", 6, 5)}, 1}, {[]reading{said("a", 7, 5)}, 2}},
		"overruled before":      {{[]reading{said("a", 5, 4)}, 0}, {[]reading{said("a", 6, 5)}, 0}, {[]reading{said("a", 7, 5)}, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			var sums tally
			for n, l := range looks {
				sums.take(fromRules, l.says)
				if got := sums.total.Total(); got != l.want {
					t.Fatalf("look %d: %d, want %d", n, got, l.want)
				}
			}
		})
	}
}

// TestTallySources: each begins by itself, and one that says nothing about a counter of
// the other takes nothing away.
func TestTallySources(t *testing.T) {
	var sums tally
	sums.take(fromRules, nil)
	sums.take(fromRules, []reading{said("a", 3, 0)})
	sums.take(fromPorts, []reading{said("a", 100, 0)})
	sums.take(fromPorts, []reading{said("a", 101, 0)})
	sums.take(fromRules, []reading{said("a", 4, 0)})
	if d := cmp.Diff(Drops{firewall.Unpublished: 5}, sums.networks["a"]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestTell: what came since the last time, most first, and never more than fits a line.
func TestTell(t *testing.T) {
	var sums tally
	sums.take(fromRules, nil)
	if got := sums.tell(); got != "" {
		t.Errorf("tells %q of nothing", got)
	}
	long := strings.Repeat("0123456789abcdef", 4)
	sums.add(dropPlace{network: long, endpoint: long, reason: firewall.Unpublished}, 2)
	sums.add(dropPlace{network: long, reason: firewall.Spoofed}, 30)
	sums.add(dropPlace{reason: firewall.Isolated}, 1)
	if got, want := sums.tell(), "33 packets dropped: 30 spoofed (network 0123456789ab), "+
		"2 unpublished (network 0123456789ab, endpoint 0123456789ab), 1 isolated"; got != want {
		t.Errorf("tells %q, want %q", got, want)
	}
	sums.add(dropPlace{reason: firewall.NoICC}, 1)
	if got, want := sums.tell(), "1 packet dropped: 1 icc"; got != want {
		t.Errorf("tells %q, want %q", got, want)
	}
	for n := range newsParts + 2 {
		sums.add(dropPlace{network: fmt.Sprint("n", n), reason: firewall.Spoofed}, 10)
	}
	got := sums.tell()
	if !strings.HasPrefix(got, "100 packets dropped: 10 spoofed (network n0), ") || !strings.HasSuffix(got, "(network n7), 20 others") {
		t.Errorf("tells %q", got)
	}
	if sums.total.Total() != 134 || sums.tell() != "" {
		t.Errorf("%d in total, and tells again", sums.total.Total())
	}
}

// TestReasons: the most frequent first, and always in one order.
func TestReasons(t *testing.T) {
	d := Drops{firewall.Spoofed: 1, firewall.Isolated: 1, firewall.Unpublished: 2}
	if diff := cmp.Diff([]firewall.Reason{firewall.Unpublished, firewall.Isolated, firewall.Spoofed}, d.Reasons()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestReadRefused: an address counts for who has it on that network.
func TestReadRefused(t *testing.T) {
	s := model.NewState()
	n, o := &model.Network{ID: "n", Bridge: "gw-n"}, &model.Network{ID: "o", Bridge: "gw-o"}
	e := &model.Endpoint{ID: "e", NetworkID: "n", IPv4: netip.MustParsePrefix("10.0.0.2/24")}
	s.Apply(model.Change{Network: model.NetworkChange{After: n}, Endpoints: []model.EndpointChange{{After: e}}})
	s.Apply(model.Change{Network: model.NetworkChange{After: o}})
	for _, c := range []struct {
		bridge, addr string
		want         dropPlace
	}{
		{"gw-n", "10.0.0.2", dropPlace{network: "n", endpoint: "e"}},
		{"gw-n", "10.0.0.3", dropPlace{network: "n"}},
		{"gw-n", "", dropPlace{network: "n"}},
		{"gw-o", "10.0.0.2", dropPlace{network: "o"}},
		{"gw-gone", "10.0.0.2", dropPlace{}},
		{"", "", dropPlace{}},
	} {
		var addr netip.Addr
		if c.addr != "" {
			addr = netip.MustParseAddr(c.addr)
		}
		c.want.reason = firewall.Isolated
		if got := readRefused(s, []firewall.Refusal{{Reason: firewall.Isolated, Bridge: c.bridge, Addr: addr}})[0].place; got != c.want {
			t.Errorf("%s %s: %+v, want %+v", c.bridge, c.addr, got, c.want)
		}
	}
}
