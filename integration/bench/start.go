package bench

import (
	"slices"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// The parts of a run, as they are named in the results.
const (
	partStart      = "start"
	partTraffic    = "traffic"
	partThroughput = "throughput"
	partParallel   = "parallel"
	partNetworks   = "networks"
	partHeal       = "heal"
	partVerbs      = "verbs"
	partBulk       = "bulk"
	partProxies    = "proxies"
	partProfile    = "profile"
	partAddresses  = "addresses"
	partMemory     = "memory"
	partRestore    = "restore"
	partPeers      = "peers"
	partPolicy     = "policy"
	partCrowd      = "crowd"
)

// protocols are those that ports are published for; the engine treats them
// alike, the built-in driver's proxies do not.
func protocols() []string { return []string{"udp", "tcp"} }

// starts measures docker run --rm … true from its start to its end, with so
// many published ports.
func (r *rig) starts(t testing.TB, m mode, to *Results) {
	deciding := pass{named(NftablesName, FloorName), slices.DeleteFunc(slices.Clone(m.ports), func(n int) bool { return n != 0 && n != 1000 })}
	for round, p := range m.startRounds.passes(pass{Variants(), m.ports}, deciding) {
		for _, v := range p.variants {
			r.with(t, v, func() {
				// The first container after a change of drivers takes longer.
				r.timed(t, "run", "--rm", "--network", network, harness.Image, "true")
				for _, n := range p.sizes {
					if v.kind == builtin && n > m.builtinPorts && (round > 0 || !slices.Contains(m.builtinOnce, n)) {
						continue
					}
					for _, proto := range turns(protocols(), round) {
						if n == 0 && proto != protocols()[0] {
							continue
						}
						r.startOnce(t, to, n, proto)
					}
				}
			})
		}
	}
	r.bare(t, m, to)
}

func (r *rig) startOnce(t testing.TB, to *Results, n int, proto string) {
	args := append([]string{"run", "--rm", "--network", network}, publish(n, proto)...)
	took := r.timed(t, append(args, harness.Image, "true")...)
	f := Figure{Part: partStart, Name: proto, N: n, Variant: r.active.Name, Unit: "s"}
	to.add(f, took.Seconds())
	if n == 0 { // which is the same for all protocols
		f.Name = protocols()[1]
		to.add(f, took.Seconds())
	}
}

// bare measures the same without any network: what is left is the engine's
// containers, without a driver.
func (r *rig) bare(t testing.TB, m mode, to *Results) {
	for range m.startRounds.whole {
		took := r.timed(t, "run", "--rm", "--network", "none", harness.Image, "true")
		to.add(Figure{Part: partStart, Name: "no network", Variant: FloorName, Unit: "s"}, took.Seconds())
	}
}
