package iptables

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
)

// TestTranslatedBeforeOpen: tables are committed one after the other. A subnet is translated before it may leave, and may
// not leave any more before it is no more translated; with a port that comes at the same time, too.
func TestTranslatedBeforeOpen(t *testing.T) {
	f := form{six: true, mark: firewall.DefaultMark()}
	network := firewall.Network{ID: id("7"), Bridge: "gw-777777777777", ICC: true, Subnets: prefixes("fd00:7::/64")}
	of := func(outside netip.Prefix) rules {
		return compile(firewall.Ruleset{
			Networks:     []firewall.Network{network},
			Translations: []firewall.Translation{{NetworkID: id("7"), Bridge: network.Bridge, Inside: network.Subnets[0], Outside: outside}},
		}, f)
	}
	today, tomorrow := netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("2001:db8:2::/64")
	for name, c := range map[string]struct {
		was, is netip.Prefix
		want    string
	}{
		"opens":  {netip.Prefix{}, today, "*nat *filter"},
		"closes": {today, netip.Prefix{}, "*filter *nat"},
		"moves":  {today, tomorrow, "*nat"},
	} {
		s, ok := step(of(c.was), of(c.is))
		if !ok {
			t.Fatalf("%s: chains come or go", name)
		}
		var order []string
		for _, l := range strings.Split(s.String(), "\n") {
			if strings.HasPrefix(l, "*") {
				order = append(order, l)
			}
		}
		if got := strings.Join(order, " "); got != c.want {
			t.Errorf("%s: %s, want %s:\n%s", name, got, c.want, s)
		}
	}
}
