package bench

import (
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// healLimit is how long a published port may stay dead, in seconds.
const healLimit = "15"

// heals measures how long a published port stays dead after somebody removed
// the rules of the host, as far as the kernel lets him: a table with an owner
// stays, and the time is that of one question. The built-in driver is left out:
// it does not look.
func (r *rig) heals(t testing.TB, m mode, to *Results) {
	for name, script := range map[string]string{
		"nft flush ruleset": "nft flush ruleset",
		"iptables -F":       "for t in filter nat raw mangle; do iptables -t $t -F; done",
	} {
		for range m.healRounds {
			for _, v := range of(gangway) {
				r.with(t, v, func() {
					args := []string{"-v", inside + ":" + inside + ":ro", "--network", network, "-p", "20000:20000/udp"}
					r.container(t, "server", args, inside+"/load", "serve", "20000")
					defer r.timed(t, "rm", "-f", "server")
					r.eventuallyLogs(t, "server", "ready")
					addr := harness.LanIPv4 + ":20000"
					r.load(t, "wait", addr, healLimit)
					r.Run(t, "sh", "-c", script)
					back := r.load(t, "wait", addr, healLimit)
					to.add(Figure{Part: partHeal, Name: name, N: 1, Variant: v.Name, Unit: "s"}, back["p50"]/1e6)
				})
				// The engine's own rules went, too; it makes them when it starts.
				r.Restart(t)
			}
		}
	}
}
