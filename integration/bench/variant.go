package bench

import "slices"

// kind says who drives a variant's networks.
type kind int

const (
	// builtin is the engine's own bridge driver.
	builtin kind = iota
	// gangway is the daemon of this project.
	gangway
	// floor is a driver that does nothing.
	floor
)

// Variant is one thing to measure.
type Variant struct {
	// Name is its name in tables and plots.
	Name string
	kind kind
	// env are the settings of its daemon.
	env []string
}

// The names of the variants.
const (
	BuiltinName  = "builtin"
	NftablesName = "gangway-nftables"
	IptablesName = "gangway-iptables"
	FloorName    = "floor"
)

// Variants is what a run compares, in the order of the tables.
func Variants() []Variant {
	return []Variant{
		{Name: BuiltinName, kind: builtin},
		{Name: NftablesName, kind: gangway, env: []string{"GANGWAY_FIREWALL=nftables"}},
		{Name: IptablesName, kind: gangway, env: []string{"GANGWAY_FIREWALL=iptables"}},
		{Name: FloorName, kind: floor},
	}
}

// turns returns variants, or protocols, in an order that begins with another one each
// round, so that none always follows the same one.
func turns[T any](all []T, round int) []T {
	first := round % len(all)
	return slices.Concat(all[first:], all[:first])
}

// named returns the variants of the given names, in order.
func named(names ...string) []Variant {
	return slices.DeleteFunc(Variants(), func(v Variant) bool { return !slices.Contains(names, v.Name) })
}

// of returns the variants of the given kinds, in order.
func of(kinds ...kind) []Variant {
	var out []Variant
	for _, v := range Variants() {
		for _, k := range kinds {
			if v.kind == k {
				out = append(out, v)
			}
		}
	}
	return out
}
