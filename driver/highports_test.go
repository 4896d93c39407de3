package driver

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

func (f *fakeHost) Listening(_ context.Context, first uint16, without map[spec.Protocol][]spec.Span) (map[spec.Listener]bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deaf {
		return nil, errInjected
	}
	found := maps.Clone(f.listening)
	maps.DeleteFunc(found, func(l spec.Listener, _ bool) bool {
		return l.Port < first || slices.ContainsFunc(without[l.Proto], func(s spec.Span) bool { return s.First <= l.Port && l.Port <= s.Last })
	})
	return found, nil
}

// lookForShadows notes published ports that are in the range of their protocol.
func (f *fakeHost) lookForShadows() {
	for _, p := range rulesOf[firewall.Port](f) {
		is := firewall.HighPorts{Proto: p.Proto, First: firewall.FirstHighPort, Last: firewall.LastHighPort}
		for _, h := range rulesOf[firewall.HighPorts](f) {
			if h.Proto == p.Proto {
				is = h
			}
		}
		if !p.HostIP.IsLoopback() && p.First <= is.Last && is.First <= p.Last {
			f.shadowed = append(f.shadowed, fmt.Sprintf("%s %d-%d in %d-%d", p.Proto, p.First, p.Last, is.First, is.Last))
		}
	}
}

// wantHigh compares the ranges of the rules, as "udp 40000-50000".
func (f *fakeHost) wantHigh(t *testing.T, when string, want ...string) {
	t.Helper()
	var got []string
	for _, h := range rulesOf[firewall.HighPorts](f) {
		got = append(got, fmt.Sprintf("%s %d-%d", h.Proto, h.First, h.Last))
	}
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", when, d)
	}
	if f.shadowed != nil {
		t.Errorf("%s: published ports were in the range: %q", when, f.shadowed)
	}
}

func span(first, last int) spec.Span { return spec.Span{First: uint16(first), Last: uint16(last)} }

// TestChooseRange: the range is the largest without ports to avoid, stays while it has none,
// and grows back when there is room for twice as many.
func TestChooseRange(t *testing.T) {
	all := span(32768, 65535)
	for name, c := range map[string]struct {
		present spec.Span
		avoid   []spec.Span
		want    spec.Span
	}{
		"nothing to avoid":             {all, nil, all},
		"WireGuard":                    {all, []spec.Span{span(51820, 51820)}, span(32768, 51199)},
		"the first port":               {all, []spec.Span{span(32768, 32768)}, span(33792, 65535)},
		"the last port":                {all, []spec.Span{span(65535, 65535)}, span(32768, 64511)},
		"the upper half is larger":     {all, []spec.Span{span(40000, 40000)}, span(40960, 65535)},
		"the next of them":             {span(40960, 65535), []spec.Span{span(40000, 40001)}, span(40960, 65535)},
		"stays":                        {span(40960, 65535), nil, span(40960, 65535)},
		"stays beside a larger one":    {span(51200, 65535), []spec.Span{span(49152, 49152)}, span(51200, 65535)},
		"grows to twice as many":       {span(49152, 65535), nil, all},
		"grows":                        {span(60000, 61000), []spec.Span{span(50000, 50000)}, span(32768, 49151)},
		"has one":                      {span(33000, 34000), []spec.Span{span(34000, 40000)}, span(40960, 65535)},
		"equal ones":                   {all, []spec.Span{span(49151, 49152)}, span(32768, 49151-1024)},
		"a small one, to the port":     {all, []spec.Span{span(32768, 50000), span(52001, 65535)}, span(50001, 52000)},
		"one port":                     {all, []spec.Span{span(32768, 50000), span(50002, 65535)}, span(50001, 50001)},
		"no port":                      {span(40000, 40100), []spec.Span{all}, all},
		"room again, where none was":   {all, []spec.Span{span(32768, 65530)}, span(65531, 65535)},
		"a large one that starts late": {all, []spec.Span{span(32768, 57344)}, span(57345, 65535)},
	} {
		var avoid highSet
		for _, s := range c.avoid {
			for p := int(s.First); p <= int(s.Last); p++ {
				avoid.add(uint16(p))
			}
		}
		if got := chooseRange(c.present, &avoid); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if d := cmp.Diff(c.avoid, avoid.spans(false)); d != "" {
			t.Errorf("%s: spans (-want +got):\n%s", name, d)
		}
	}
}

// TestChooseRangeAnywhere: whatever there is to avoid, the range has none of it, it is what
// a plain search finds, and choosing again changes nothing.
func TestChooseRangeAnywhere(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	present := firewall.AllHigh()
	for range 3000 {
		var avoid highSet
		for range rnd.IntN(1 << rnd.IntN(12)) {
			first := 32768 + rnd.IntN(highCount)
			for p := first; p <= min(first+rnd.IntN(1<<rnd.IntN(12)), 65535); p++ {
				avoid.add(uint16(p))
			}
		}
		got, longest := chooseRange(present, &avoid), longestFree(&avoid)
		is := lenOf(got)
		switch {
		case longest == 0:
			if got != firewall.AllHigh() {
				t.Fatalf("%v, where no port is left", got)
			}
		case got.First > got.Last, got.First < 32768, avoid.overlaps(got), is > longest:
			t.Fatalf("%v has a port to avoid: %v", got, avoid.spans(false))
		case got == present && 2*is <= longest-2*blockSize:
			t.Fatalf("%v stays, where %d ports are free in a row", got, longest)
		case got != present && is < longest && (longest < 8*blockSize || is <= longest-2*blockSize):
			t.Fatalf("%v, where %d ports are free in a row", got, longest)
		}
		if again := chooseRange(got, &avoid); again != got {
			t.Fatalf("%v, and then %v", got, again)
		}
		present = got
	}
}

// longestFree is how many ports in a row are not in a set.
func longestFree(set *highSet) (longest int) {
	run := 0
	for p := 32768; p <= 65535; p++ {
		run++
		if set.has(uint16(p)) {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}

// withPorts is an endpoint with ports.
func withPorts(id string, runs ...spec.Published) *Endpoint {
	return &Endpoint{ID: id, NetworkID: netA, MAC: HardwareAddr{2, 0, 0, 0, 0, 1}, Published: runs}
}

func runAt(proto spec.Protocol, host string, first, last int) spec.Published {
	return spec.Published{Proto: proto, HostIP: netip.MustParseAddr(host), First: uint16(first), Last: uint16(last)}
}

// TestPublishedHigh: the index of the state has the high ports of all endpoints, whatever
// came and went.
func TestPublishedHigh(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	s, now := newState(), map[string]*Endpoint{}
	for range 300 {
		id := fmt.Sprint("e", rnd.IntN(6))
		c := endpointChange{before: now[id]}
		if rnd.IntN(3) > 0 {
			var runs []spec.Published
			for range rnd.IntN(3) {
				first := 32700 + rnd.IntN(200)
				host := [...]string{"0.0.0.0", "::", "192.0.2.1", "127.0.0.1"}[rnd.IntN(4)]
				runs = append(runs, runAt([...]spec.Protocol{spec.TCP, spec.UDP}[rnd.IntN(2)], host, first, first+rnd.IntN(40)))
			}
			c.after = withPorts(id, runs...)
		}
		s.apply(change{endpoints: []endpointChange{c}})
		if now[id] = c.after; c.after == nil {
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
				if l := (spec.Listener{Proto: proto, Port: uint16(p)}); s.high.has(l) != want[l] {
					t.Fatalf("%v: %t, want %t", l, s.high.has(l), want[l])
				}
			}
		}
	}
}
