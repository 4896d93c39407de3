package policy

import (
	"fmt"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// TestPeering: which networks a policy opens, each once and with ports that do not overlap; what
// is not there is closed.
func TestPeering(t *testing.T) {
	for _, c := range []struct {
		allow, ingress        string
		reaches, reachedBy    string
		everybody, asks, open bool
	}{
		{"none", "any", "[]", "[]", true, false, true},
		{"network:db:5432/tcp,network:db:5430-5440/tcp,network:six/udp", "network:db", "[{gw-6 false true false [{17 0 65535}]} {gw-b true true false [{6 5430 5440}]}]", "[{gw-b true true true []}]", false, true, false},
		{"network:db:53,network:db", "any,network:six", "[{gw-b true true true []}]", "[{gw-6 false true true []}]", true, true, true},
		{"network:gone", "network:gone", "[]", "[]", false, true, false},
		{"none", "80=network:db,any", "[]", "[{gw-b true true false [{6 80 80} {17 80 80} {132 80 80}]}]", false, false, false},
	} {
		p := of(t, config.Policy{Allow: c.allow, Ingress: c.ingress, Networks: someNetworks})
		if got := fmt.Sprint(p.Reaches()); got != c.reaches {
			t.Errorf("%s reaches %s, want %s", c.allow, got, c.reaches)
		}
		if got := fmt.Sprint(p.ReachedBy()); got != c.reachedBy {
			t.Errorf("%s is reached by %s, want %s", c.ingress, got, c.reachedBy)
		}
		if p.Everybody != c.everybody || p.Asking() != c.asks || p.Open() != c.open {
			t.Errorf("%s and %s: everybody %t, asks %t, open %t", c.allow, c.ingress, p.Everybody, p.Asking(), p.Open())
		}
		if c.ingress != "any" && !p.Peered() {
			t.Errorf("%s and %s name no network", c.allow, c.ingress)
		}
	}
}
