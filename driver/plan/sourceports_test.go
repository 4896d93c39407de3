package plan

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

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
		var avoid model.PortSet
		for _, s := range c.avoid {
			for p := int(s.First); p <= int(s.Last); p++ {
				avoid.Add(uint16(p))
			}
		}
		if got := chooseRange(c.present, &avoid); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if d := cmp.Diff(c.avoid, avoid.Spans(false)); d != "" {
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
		var avoid model.PortSet
		for range rnd.IntN(1 << rnd.IntN(12)) {
			first := 32768 + rnd.IntN(model.HighCount)
			for p := first; p <= min(first+rnd.IntN(1<<rnd.IntN(12)), 65535); p++ {
				avoid.Add(uint16(p))
			}
		}
		got, longest := chooseRange(present, &avoid), longestFree(&avoid)
		is := lenOf(got)
		switch {
		case longest == 0:
			if got != firewall.AllHigh() {
				t.Fatalf("%v, where no port is left", got)
			}
		case got.First > got.Last, got.First < 32768, avoid.Overlaps(got), is > longest:
			t.Fatalf("%v has a port to avoid: %v", got, avoid.Spans(false))
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
func longestFree(set *model.PortSet) (longest int) {
	run := 0
	for p := 32768; p <= 65535; p++ {
		run++
		if set.Has(uint16(p)) {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}
