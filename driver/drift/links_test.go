package drift

import (
	"fmt"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// TestEveryPairHasItsTurn: each comparison looks closely at some pairs, and in time at all of them.
func TestEveryPairHasItsTurn(t *testing.T) {
	var veths []spec.Veth
	for i := range 3*thorough + 1 {
		veths = append(veths, spec.Veth{EndpointID: fmt.Sprint(i)})
	}
	r := &Comparison{Comparer: NewComparer(Parts{}), of: spec.Scope{All: true}}
	seen := map[string]bool{}
	for range 4 {
		all := r.suspects(veths, spec.LinkCheck{})
		if len(all) != thorough {
			t.Errorf("%d pairs at once, want %d", len(all), thorough)
		}
		for _, v := range all {
			seen[v.EndpointID] = true
		}
	}
	if len(seen) != len(veths) {
		t.Errorf("%d of %d pairs had their turn", len(seen), len(veths))
	}
	found := spec.LinkCheck{Gone: map[string]bool{"3": true}, Amiss: map[string]bool{"100": true, "3": true}}
	r.nextPair = 0
	if all := r.suspects(veths, found); len(all) != thorough {
		t.Errorf("%d pairs, want %d: one is gone and another amiss", len(all), thorough)
	}
}
