package policy

import (
	"net/netip"

	"github.com/gangway-net/gangway/config"
)

// Flow is a tracked flow.
type Flow struct {
	// From and To are what its first packet said, Port and Proto what it asked for; Answers is
	// who answers, behind the translation of the destination.
	From, To, Answers netip.Addr
	Proto             uint8
	Port              uint16
}

// Judge says of flows whether policies forbid them. Packets of a flow that is known meet no
// rule of a policy: where there are flows that began without one, they have to be ended. It is
// not safe for concurrent use.
type Judge struct {
	containers map[netip.Addr]bound
	networks   []bound
	// subnets are those of all networks.
	subnets []netip.Prefix
	// names tells by which names somebody has learned of an address, with what is forgotten
	// meanwhile; nil for nobody.
	names func(who Who, to netip.Addr) []string
}

// Knowing is the judge that knows by which names somebody has learned of an address, also a
// while ago: a flow that began then goes on.
func (j Judge) Knowing(names func(who Who, to netip.Addr) []string) Judge {
	j.names = names
	return j
}

type bound struct {
	Binding
	*judged
}

// judged is a policy with its sets, which are made for the first flow that it is asked about.
type judged struct {
	policy   Policy
	compiled *Compiled
	// asks and reads are Asks and Reads of the policy.
	asks, reads bool
}

func (j *judged) sets() *Compiled {
	if j.compiled == nil {
		c := j.policy.Compile()
		j.compiled = &c
	}
	return j.compiled
}

// NewJudge makes one for bindings; subnets are those of all networks of Gangway.
func NewJudge(all []Binding, subnets []netip.Prefix) Judge {
	j := Judge{containers: map[netip.Addr]bound{}, subnets: subnets}
	policies := map[config.Policy]*judged{}
	for _, b := range all {
		p := policies[b.Texts]
		if p == nil {
			p = &judged{policy: b.Policy()}
			p.asks, p.reads = p.policy.Asks(), p.policy.Reads()
			policies[b.Texts] = p
		}
		of := bound{b, p}
		if b.EndpointID == "" {
			j.networks = append(j.networks, of)
		}
		for _, a := range b.Addrs {
			j.containers[a] = of
		}
	}
	return j
}

// Forbids says that a flow would not begin any more. host says which addresses are the host's.
func (j Judge) Forbids(f Flow, host func(netip.Addr) bool) bool {
	asked := Packet{From: f.From, To: f.To, Proto: f.Proto, Port: f.Port, Near: contain(j.subnets, f.From)}
	if b, found := j.of(f.From); found && !b.policy.Audit && b.policy.Outward() && j.forbidsOut(b, f, asked, host) {
		return true
	}
	b, found := j.of(f.Answers)
	return found && !b.policy.Audit && !b.policy.Everybody && !contain(b.Subnets, f.From) && !host(f.From) && !host(f.Answers) && !admits(b.sets(), asked)
}

// forbidsOut says so for what a container has sent.
func (j Judge) forbidsOut(b bound, f Flow, asked Packet, host func(netip.Addr) bool) bool {
	local, within := host(f.To), contain(b.Subnets, f.To)
	if b.asks && asked.asks() {
		return !within && !host(f.Answers) // the resolver does not answer it
	}
	if within && !local || decides(b.sets(), asked, local) {
		return false
	}
	if b.reads && !host(f.Answers) {
		return true // nobody has read what it says
	}
	asked.Names = j.known(b, f)
	return len(asked.Names) == 0 || !b.policy.Decide(asked, local)
}

// known are names by which the container has learned of the address.
func (j Judge) known(b bound, f Flow) []string {
	if j.names == nil || !b.asks {
		return nil
	}
	return append(j.names(Who{Addr: f.From}, f.To), j.names(Who{Policy: b.Texts}, f.To)...)
}

// of finds whose policy counts for an address.
func (j Judge) of(a netip.Addr) (bound, bool) {
	if b, found := j.containers[a]; found {
		return b, true
	}
	for _, b := range j.networks {
		if contain(b.Subnets, a) {
			return b, true
		}
	}
	return bound{}, false
}

func contain(subnets []netip.Prefix, a netip.Addr) bool {
	for _, s := range subnets {
		if s.Contains(a) {
			return true
		}
	}
	return false
}
