package faulttest

import (
	"os/exec"
	"testing"
	"time"
)

// legacyRules is what iptables-legacy holds, without counters.
func legacyRules(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-ec",
		`for c in iptables ip6tables; do $c-legacy-save | grep -v '^#' | sed '/^:/s/ \[.*//' | grep -v 'DOCKER\|^\*mangle'; done`).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func sh(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// TestLegacyHeals: damage to rules in iptables-legacy, of which the kernel tells
// nothing, is mended within a second, both where all rules are there and where
// only the gate is. No comparison runs but for what the watcher tells.
func TestLegacyHeals(t *testing.T) {
	sh(t, `for c in iptables-legacy ip6tables-legacy; do
		for at in "raw PREROUTING" "filter FORWARD" "nat PREROUTING" "nat OUTPUT" "nat POSTROUTING"; do set -- $at
		$c -t $1 -A $2 -j ACCEPT; $c -t $1 -D $2 -j ACCEPT; done
		$c -P FORWARD DROP; $c -N DOCKER-USER; $c -A DOCKER-USER -j RETURN; $c -A FORWARD -j DOCKER-USER; done`)
	defer sh(t, `for c in iptables-legacy ip6tables-legacy; do
		$c -P FORWARD ACCEPT; for t in filter nat raw; do $c -t $t -F; $c -t $t -X; done; done`)
	for _, backend := range []string{"iptables", "nftables"} {
		t.Run(backend, func(t *testing.T) {
			w := mustOpen(t, backend, t.TempDir())
			defer w.close()
			do(t, w, "create network", createNetwork)
			do(t, w, "create endpoint", createEndpoint)
			do(t, w, "join", join)
			do(t, w, "publish", publish)
			defer do(t, w, "delete network", deleteNetwork)
			keepTold(t, w)
			whole := legacyRules(t)
			for _, damage := range []string{
				"iptables-legacy -F FORWARD; iptables-legacy -A FORWARD -j DOCKER-USER",
				"iptables-legacy -D GANGWAY-FORWARD 1",
				"iptables-legacy -F GANGWAY-FORWARD",
				"ip6tables-legacy -I GANGWAY-FORWARD -j ACCEPT",
				"ip6tables-legacy -D FORWARD $(ip6tables-legacy -S FORWARD | grep -n GANGWAY-FORWARD | cut -d: -f1 | awk '{print $1-1}')",
			} {
				began, repairs := time.Now(), w.Status(t.Context()).Repairs
				sh(t, damage)
				if legacyRules(t) == whole && w.Status(t.Context()).Repairs == repairs {
					t.Fatalf("%s: no damage", damage)
				}
				for legacyRules(t) != whole {
					if time.Since(began) > 20*time.Second {
						same(t, damage+": not mended", whole, legacyRules(t))
					}
					time.Sleep(5 * time.Millisecond)
				}
				t.Logf("%s: %s", damage, time.Since(began).Round(time.Millisecond))
			}
			began, repairs := time.Now(), w.Status(t.Context()).Repairs
			sh(t, "iptables-legacy -I FORWARD $(iptables-legacy -S FORWARD | grep -n GANGWAY-FORWARD | cut -d: -f1 | awk '{print $1-1}') -i docker0 -j DROP")
			for w.Status(t.Context()).Repairs == repairs {
				if time.Since(began) > 20*time.Second {
					t.Fatalf("a rule of the engine's stays in front of the hook:\n%s", legacyRules(t))
				}
				time.Sleep(5 * time.Millisecond)
			}
			t.Logf("the engine's rule in front of the hook: %s", time.Since(began).Round(time.Millisecond))
			sh(t, "iptables-legacy -D FORWARD -i docker0 -j DROP")
		})
	}
}
