package trace

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// TestDecidePolicy: policies have their say before all else, of who sends and of who gets it.
func TestDecidePolicy(t *testing.T) {
	s := policedShop()
	for _, c := range []struct {
		from, source, to string
		want             string
		dropped          bool
	}{
		{"front-a", "10.0.1.2", "1.2.3.4:443", "allows it: gangway.egress.allow=1.2.3.4:443", false},
		{"front-a", "10.0.1.2", "1.2.3.4:80", "the policy of network front about what a container sends refuses it (table inet gangway-policy): gangway.egress=deny; add 1.2.3.4:80/tcp to gangway.egress.allow", true},
		{"front-a", "10.0.1.2", "1.2.3.5:443", "the policy of network front, which has 1.2.3.5 open as an address of a.example and b.example, about what a container sends allows it: gangway.egress.allow=*.example:443", false},
		{"front-a", "10.0.1.2", "1.2.3.6:443", "gangway.egress=deny", true},
		{"front-a", "10.0.1.2", "192.0.2.1:22", "gangway.host=none; add 22/tcp to gangway.host", true},
		{"front-a", "10.0.1.2", "10.0.1.3:80", "", false},
		{"routed-a", "10.0.5.2", "10.0.9.2:80", "accepted: the policies of both sides say so: gangway.egress.allow there has network:plain, and gangway.ingress here has network:routed", false},
		{"routed-a", "10.0.5.2", "10.0.9.2:81", "isolation", true},
		{"plain-a", "10.0.9.2", "10.0.5.3:80", "in mode routed published ports alone are open", true},
		{"front-b", "10.0.1.3", "1.2.3.4:80", "lets it pass in mode audit: gangway.egress=deny", false},
		{"", "10.9.0.5", "192.0.2.1:8000", "about what a container gets allows it", false},
		{"", "10.8.0.5", "192.0.2.1:8000", "refuses it (table inet gangway-policy): gangway.ingress=10.9.0.0/24; add 10.8.0.5 to gangway.ingress", true},
	} {
		f := Flow{Protocol: "tcp", Source: addr(c.source), Destination: netip.MustParseAddrPort(c.to)}
		if c.from != "" {
			f.From = s.At(addr(c.source))
		}
		d := Decide(s, f)
		text := strings.Join(d.Steps, "\n")
		if !strings.Contains(text, c.want) || c.want == "" && strings.Contains(text, "policy") || (d.Verdict == Dropped) != c.dropped {
			t.Errorf("%+v: %s\n%s", c, d.Verdict, text)
		}
	}
}

// policedShop is a shop whose network front has a policy, and one of its containers another one.
func policedShop() State {
	s := shop()
	for i, n := range s.Networks {
		s.Networks[i].Subnets = append(n.Subnets, s.Endpoints[2*i].Addresses[0].Masked())
	}
	give := func(container, network string, p config.Policy) {
		for i := range s.Networks {
			if s.Networks[i].ID == network && container == "" {
				s.Networks[i].Policy = p
			}
		}
		for i, e := range s.Endpoints {
			if e.NetworkID == network && (container == "" || e.ContainerName == container) {
				s.Endpoints[i].Policy = p
			}
		}
	}
	give("", "id-front", config.Policy{Egress: "deny", Allow: "1.2.3.4:443,*.example:443", Ingress: "10.9.0.0/24", Host: "none"})
	give("front-b", "id-front", config.Policy{Egress: "deny", Ingress: "any", Mode: "audit"})
	give("", "id-routed", config.Policy{Allow: "network:plain:80", Networks: "plain gw-plain 10.0.9.0/24"})
	give("", "id-plain", config.Policy{Ingress: "any,network:routed", Networks: "routed gw-routed 10.0.5.0/24"})
	s.Names = map[string]map[netip.Addr][]string{s.Endpoints[0].ID: {addr("1.2.3.5"): {"a.example", "b.example"}}}
	for i := range s.Ports {
		s.Ports[i].EndpointID = s.Endpoints[0].ID
	}
	return s
}
