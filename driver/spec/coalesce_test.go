package spec

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
)

var (
	any4  = netip.IPv4Unspecified()
	any6  = netip.IPv6Unspecified()
	cont4 = netip.MustParseAddr("10.0.0.2")
	cont6 = netip.MustParseAddr("fd00::2")
)

func TestCoalesce(t *testing.T) {
	run := func(host netip.Addr, first, last uint16, cont netip.Addr, to uint16) Published {
		return Published{Proto: TCP, HostIP: host, First: first, Last: last, ContainerIP: cont, ContainerFirst: to}
	}
	udp := run(any4, 81, 81, cont4, 81)
	udp.Proto = UDP
	tests := []struct {
		name     string
		in, want []Published
	}{
		{"nothing", nil, nil},
		{"one", []Published{run(any4, 80, 80, cont4, 80)}, []Published{run(any4, 80, 80, cont4, 80)}},
		{"adjacent, any order",
			[]Published{run(any4, 82, 82, cont4, 92), run(any4, 80, 80, cont4, 90), run(any4, 81, 81, cont4, 91)},
			[]Published{run(any4, 80, 82, cont4, 90)}},
		{"overlapping and twice",
			[]Published{run(any4, 80, 90, cont4, 80), run(any4, 85, 99, cont4, 85), run(any4, 80, 90, cont4, 80)},
			[]Published{run(any4, 80, 99, cont4, 80)}},
		{"one within the other",
			[]Published{run(any4, 80, 99, cont4, 80), run(any4, 85, 86, cont4, 85), run(any4, 100, 100, cont4, 100)},
			[]Published{run(any4, 80, 100, cont4, 80)}},
		{"gap", []Published{run(any4, 80, 80, cont4, 80), run(any4, 82, 82, cont4, 82)},
			[]Published{run(any4, 80, 80, cont4, 80), run(any4, 82, 82, cont4, 82)}},
		{"other shift", []Published{run(any4, 80, 80, cont4, 80), run(any4, 81, 81, cont4, 80)},
			[]Published{run(any4, 80, 80, cont4, 80), run(any4, 81, 81, cont4, 80)}},
		{"other family, other target, other protocol",
			[]Published{run(any6, 81, 81, cont6, 81), run(any4, 80, 80, cont4, 80), udp, run(any6, 80, 80, cont4, 80)},
			[]Published{run(any4, 80, 80, cont4, 80), run(any6, 80, 80, cont4, 80), run(any6, 81, 81, cont6, 81), udp}},
		{"up to the last port", []Published{run(any4, 65535, 65535, cont4, 65535), run(any4, 1, 65534, cont4, 1)},
			[]Published{run(any4, 1, 65535, cont4, 1)}},
		{"without ports", []Published{run(any4, 81, 80, cont4, 80)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := slices.Clone(tt.in)
			if got := Coalesce(in); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Coalesce = %v, want %v", got, tt.want)
			}
			if !slices.Equal(in, tt.in) {
				t.Errorf("argument changed to %v", in)
			}
		})
	}
}

// expand is the meaning of runs: a set of single ports.
func expand(runs []Published) map[Published]bool {
	out := map[Published]bool{}
	for _, r := range runs {
		for i := range r.Len() {
			p := r
			p.First = r.First + uint16(i)
			p.Last = p.First
			p.ContainerFirst = r.ContainerFirst + uint16(i)
			out[p] = true
		}
	}
	return out
}

func TestCoalesceProperties(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var runs []Published
		for range rnd.IntN(40) {
			first := uint16(1 + rnd.IntN(60))
			runs = append(runs, Published{
				Proto:          []Protocol{TCP, UDP}[rnd.IntN(2)],
				HostIP:         []netip.Addr{any4, any6}[rnd.IntN(2)],
				First:          first,
				Last:           first + uint16(rnd.IntN(4)),
				ContainerIP:    []netip.Addr{cont4, cont6}[rnd.IntN(2)],
				ContainerFirst: first + uint16(rnd.IntN(2)),
			})
		}
		got := Coalesce(runs)
		if !reflect.DeepEqual(expand(got), expand(runs)) {
			t.Fatalf("seed %d: %v does not mean %v", seed, got, runs)
		}
		if again := Coalesce(got); !reflect.DeepEqual(again, got) {
			t.Fatalf("seed %d: not idempotent: %v, then %v", seed, got, again)
		}
		rnd.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
		if shuffled := Coalesce(runs); !reflect.DeepEqual(shuffled, got) {
			t.Fatalf("seed %d: order matters: %v, then %v", seed, got, shuffled)
		}
		if singles := Coalesce(slices.Collect(maps.Keys(expand(runs)))); !reflect.DeepEqual(singles, got) {
			t.Fatalf("seed %d: not minimal: %v, singles give %v", seed, got, singles)
		}
	}
}
