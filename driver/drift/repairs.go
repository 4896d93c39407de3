package drift

import "github.com/gangway-net/gangway/driver/spec"

// repairs are what a comparison has mended, a line for each, and what failed.
type repairs struct {
	fixed  []string
	failed []error
	// sorted are the lines that are counted by kind already.
	sorted int
	byKind map[string]uint64
}

// The kinds of repairs that are of no kind of objects.
const (
	// repairRules is of the firewall's rules.
	repairRules spec.Kind = "rules"
	// repairOpen is of what a change that failed has left.
	repairOpen spec.Kind = "unfinished change"
	// repairOrphan is of a link that belonged to nobody, or had another name.
	repairOrphan spec.Kind = "orphaned link"
	// repairStore is of what could not be written.
	repairStore spec.Kind = "stored state"
)

// RepairKinds are the kinds of repairs.
func (k Kinds) RepairKinds() (names []string) {
	add := func(kinds []Kind) {
		for _, kind := range kinds {
			names = append(names, string(kind.Of))
		}
	}
	add(k.First)
	names = append(names, string(repairRules), string(repairOpen), string(repairOrphan))
	add(k.Then)
	return append(names, string(repairStore))
}

// sort says of what kind the repairs are that were made since it was called last.
func (r *repairs) sort(as spec.Kind) {
	if n := len(r.fixed) - r.sorted; n > 0 {
		if r.byKind == nil {
			r.byKind = map[string]uint64{}
		}
		r.byKind[string(as)] += uint64(n)
	}
	r.sorted = len(r.fixed)
}
