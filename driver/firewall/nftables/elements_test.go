package nftables

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	nft "github.com/google/nftables"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// dumpItems shows items, set by set.
func dumpItems(c contents) string {
	var lines []string
	for set, items := range c {
		for _, i := range items {
			lines = append(lines, fmt.Sprintf("%s %x-%x: %x %s", set, i.key, i.end, i.data, i.note))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A run becomes one interval where the kernel can do that and it pays, and
// single ports otherwise.
func TestRuns(t *testing.T) {
	for _, c := range []struct {
		name string
		port firewall.Port
		want map[string]int
	}{
		{"one", published("a", "1", spec.TCP, "0.0.0.0", 80, 80, "10.0.0.2", 80), map[string]int{"port4": 1}},
		{"one of an address", published("a", "1", spec.TCP, "2001:db8::1", 80, 80, "fd00::2", 8080), map[string]int{"port_at6": 1}},
		{"short", published("a", "1", spec.UDP, "0.0.0.0", 1, longRun-1, "10.0.0.2", 1), map[string]int{"port4": longRun - 1}},
		{"long", published("a", "1", spec.UDP, "0.0.0.0", 1, longRun, "10.0.0.2", 1), map[string]int{"range_udp4": 1}},
		{"long, of an address", published("a", "1", spec.SCTP, "192.0.2.1", 1, longRun, "10.0.0.2", 1), map[string]int{"range_at4": 1}},
		{"all", published("a", "1", spec.TCP, "::", 1, 65535, "fd00::2", 1), map[string]int{"range_tcp6": 1}},
		{"long, shifted", published("a", "1", spec.TCP, "::", 1, 10000, "fd00::2", 2), map[string]int{"port6": 10000}},
		{"relayed", published("a", "1", spec.TCP, "::", 1, 10000, "10.0.0.2", 1), map[string]int{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := map[string]int{}
			for set, items := range compile(firewall.Ruleset{Ports: []firewall.Port{c.port}}) {
				got[set] = len(items)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// Whatever the deltas on the way, the items are those of the ruleset, and the
// changes say no more than what differs.
func TestDeltas(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	all := rich()
	for range 300 {
		is, have := contents{}, map[string]bool{}
		for range 20 {
			var d firewall.Delta
			var now firewall.Ruleset
			for i, n := range all.Networks {
				flip(rnd, have, fmt.Sprint("n", i), n, &d.Remove.Networks, &d.Add.Networks, &now.Networks)
			}
			for i, p := range all.Ports {
				flip(rnd, have, fmt.Sprint("p", i), p, &d.Remove.Ports, &d.Add.Ports, &now.Ports)
			}
			for i, o := range all.Open {
				flip(rnd, have, fmt.Sprint("o", i), o, &d.Remove.Open, &d.Add.Open, &now.Open)
			}
			for i, p := range all.HighPorts {
				flip(rnd, have, fmt.Sprint("h", i), p, &d.Remove.HighPorts, &d.Add.HighPorts, &now.HighPorts)
			}
			c, want := is.delta(d), compile(now)
			if got := is.diff(want); dumpItems(got.gone) != dumpItems(c.gone) || dumpItems(got.fresh) != dumpItems(c.fresh) {
				t.Fatalf("changes\n- %s\n+ %s\nwant\n- %s\n+ %s", dumpItems(c.gone), dumpItems(c.fresh), dumpItems(got.gone), dumpItems(got.fresh))
			}
			is.change(c)
			if d := cmp.Diff(dumpItems(want), dumpItems(is)); d != "" {
				t.Fatal(d)
			}
			if !is.holds(now) {
				t.Fatal("holds does not see that")
			}
			if !is.delta(firewall.Delta{Add: now}).empty() || !is.delta(firewall.Delta{Remove: now, Add: now}).empty() {
				t.Fatal("adding what is there changes something")
			}
		}
	}
}

// flip puts an element in or out at random, and now and then once more.
func flip[E any](rnd *rand.Rand, have map[string]bool, name string, e E, remove, add, now *[]E) {
	switch rnd.IntN(4) {
	case 0:
		*add, have[name] = append(*add, e), true
	case 1:
		*remove, have[name] = append(*remove, e), false
	}
	if have[name] {
		*now = append(*now, e)
	}
}

// What goes to the kernel comes back from it as it was, in whatever order.
func TestDecode(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	items := compile(rich())
	for _, s := range sets(table(tableName)) {
		elements := encode(&s, items[s.Name])
		for range 20 {
			rnd.Shuffle(len(elements), func(i, j int) { elements[i], elements[j] = elements[j], elements[i] })
			got, strange := decode(&s, listed(s, elements))
			if strange != 0 {
				t.Errorf("%s: %d strange elements", s.Name, strange)
			}
			want := items[s.Name]
			if want == nil {
				want = map[string]item{}
			}
			if d := cmp.Diff(want, got, cmp.AllowUnexported(item{})); d != "" {
				t.Errorf("%s: %s", s.Name, d)
			}
		}
	}
}

// listed turns the verdicts of elements into what a listing has of them.
func listed(s set, elements []nft.SetElement) []nft.SetElement {
	out := slices.Clone(elements)
	for i, e := range out {
		if e.VerdictData != nil {
			chain := e.VerdictData.Chain + "\x00"
			code := []byte{8, 0, 1, 0, 0xff, 0xff, 0xff, 0xfc}
			out[i].Val = append(code, append([]byte{byte(4 + len(chain)), 0, 2, 0}, padTo4(chain)...)...)
			out[i].VerdictData = nil
		}
	}
	return out
}

func padTo4(s string) []byte {
	b := []byte(s)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// Whatever somebody puts into the sets, reading them ends, and what it makes
// items of can be written.
func FuzzDecode(f *testing.F) {
	f.Add(0, []byte("gw-a"), []byte("gw-b"), []byte{8, 0, 1, 0, 0xff, 0xff, 0xff, 0xfc}, true)
	f.Add(2, []byte{10, 0, 0, 0}, []byte{10, 0, 1, 0}, []byte{}, true)
	f.Add(5, []byte{10, 0, 0, 0}, []byte{10, 0, 1, 0}, []byte{1}, false)
	f.Fuzz(func(t *testing.T, n int, a, b, data []byte, end bool) {
		all := sets(table(tableName))
		s := all[max(n, -n-1)%len(all)]
		items, strange := decode(&s, []nft.SetElement{
			{Key: a, Val: data}, {Key: b, IntervalEnd: end, KeyEnd: a, Val: data}, {Key: b, IntervalEnd: !end, Comment: string(data)},
		})
		if len(items) > 3 || strange > 3 {
			t.Errorf("%d items, %d strange of 3 elements", len(items), strange)
		}
		if got := encode(&s, items); len(got) < len(items) {
			t.Errorf("%d items make %d elements", len(items), len(got))
		}
	})
}

func FuzzGeneration(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		if id, ok := generationOf(data); !ok && id != 0 {
			t.Errorf("no generation, but %d", id)
		}
	})
}

func raw(a netip.Addr) string { return string(a.AsSlice()) }
