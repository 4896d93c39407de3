package doctor

import (
	"fmt"
	"slices"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/plugin"
)

// policies says which published ports a policy keeps from the client, or from everybody
// outside.
func (f Facts) policies(t Target) (all []Finding) {
	if t.all() {
		return nil
	}
	for _, p := range f.State.Ports {
		if !t.port(p) {
			continue
		}
		i := slices.IndexFunc(f.State.Endpoints, func(e plugin.Endpoint) bool { return e.ID == p.EndpointID })
		if i < 0 {
			continue
		}
		e := f.State.Endpoints[i]
		of, err := policy.Of(e.Policy)
		if err != nil || of.Everybody || of.Audit {
			continue
		}
		if finding := f.ingress(of, e, p, t.Port); finding != nil {
			all = append(all, *finding)
		}
	}
	return all
}

// ingress asks a policy about one published port.
func (f Facts) ingress(of policy.Policy, e plugin.Endpoint, p plugin.Port, port uint16) *Finding {
	from := policy.Packet{From: f.Client.Addr, Proto: policy.ProtocolNumber(p.Protocol), Port: max(port, p.First)}
	whose := f.whosePolicy(e)
	if !f.Client.Addr.IsValid() {
		if slices.ContainsFunc(of.Ingress, func(s config.Source) bool { return !s.Nobody }) {
			return nil // it answers somebody
		}
		return &Finding{
			fmt.Sprintf("%s answers nobody outside: %s %s", asked(p, port), of.Otherwise(policy.OptionIngress), whose),
			"say in gangway.ingress who may ask",
		}
	}
	if f.Client.Addr.Is6() != p.HostIP.Is6() {
		return nil
	}
	if v := of.WhyAdmitted(from); !v.Passes {
		return &Finding{fmt.Sprintf("%s does not answer %s: %s %s", asked(p, port), f.Client.Addr, v.By, whose), v.Cure(from)}
	}
	if p.Path == "relay" {
		return &Finding{
			fmt.Sprintf("%s is relayed, and so does not answer %s: %s %s, and a relay hides who asks", asked(p, port), f.Client.Addr, of.Otherwise(policy.OptionIngress), whose),
			"give the container an address of that family, or set gangway.ingress=any",
		}
	}
	return nil
}

// whosePolicy says whose words about who may come count for a container: its own, or its
// network's.
func (f Facts) whosePolicy(e plugin.Endpoint) string {
	for _, n := range f.State.Networks {
		if n.ID == e.NetworkID && n.Policy.Ingress == e.Policy.Ingress {
			return "of network " + f.network(e)
		}
	}
	return "of " + nameOf(e.Whose, e.ID)
}
