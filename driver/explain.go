package driver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/policy"
)

// PolicyLine is one thing that is said of who may talk to whom.
type PolicyLine struct {
	// Word is that of the policy, Value what it says: of a list one entry.
	Word  string `json:"word"`
	Value string `json:"value"`
	// From says what kind of source it has, and Source names that: an option, a policy, a setting.
	From   string `json:"from"`
	Source string `json:"source,omitempty"`
	// Until is when an exception ends.
	Until *time.Time `json:"until,omitempty"`
	// Unused says that something else goes before it.
	Unused bool `json:"unused,omitempty"`
	// Closed says why it opens nothing: the network that it names is not there, or does not say
	// its half.
	Closed string `json:"closed,omitempty"`
}

// Sources of lines beside the layers of package model.
const (
	fromDefault   = "default"
	fromException = "exception"
)

// PolicyExplanation is what counts for a network, or for one container on it, line by line.
type PolicyExplanation struct {
	Whom
	// Policy is what counts; nothing where it refuses nothing.
	Policy config.Policy `json:"policy,omitzero"`
	Lines  []PolicyLine  `json:"lines"`
	// Learned are addresses that are open by names.
	Learned []LearnedName `json:"learned,omitempty"`
}

// PolicyVerdict is what a policy says of a flow that a container begins.
type PolicyVerdict struct {
	Whom
	To string `json:"to"`
	// Allowed says that the policy refuses nothing of it. In mode audit it passes anyway.
	Allowed bool `json:"allowed"`
	Audit   bool `json:"audit,omitempty"`
	// Rule is what decides; without a word no policy has a say.
	Rule PolicyLine `json:"rule,omitzero"`
	// Learned are the names that have opened the address, or the addresses that the name has
	// opened.
	Learned []LearnedName `json:"learned,omitempty"`
	// Note says what else there is to know.
	Note string `json:"note,omitempty"`
}

// ExplainPolicy says what counts for a network, or for one container on it, and where each line
// comes from.
func (d *Driver) ExplainPolicy(of Whom) (PolicyExplanation, error) {
	learned, err := d.learnedBy(of)
	if err != nil {
		return PolicyExplanation{}, err
	}
	s, unlock := d.desired.Read()
	defer unlock()
	n, e, err := find(s, of)
	if err != nil {
		return PolicyExplanation{}, err
	}
	return PolicyExplanation{Whom: of, Policy: plan.PolicyInForce(s, n, e), Lines: lines(s, n, e), Learned: learnedNames(learned)}, nil
}

// find returns a network, and the container that is meant; nil for all of the network's.
func find(s *model.State, of Whom) (*model.Network, *model.Endpoint, error) {
	if of.EndpointID != "" {
		return s.Find(of.NetworkID, of.EndpointID)
	}
	n := s.Networks[of.NetworkID]
	if n == nil {
		return nil, nil, model.UnknownNetwork(of.NetworkID)
	}
	return n, nil, nil
}

// lines are all that is said: what counts first, of each word.
func lines(s *model.State, n *model.Network, e *model.Endpoint) (all []PolicyLine) {
	layers, said := s.Layers(n, e), s.Said(n, e)
	for _, word := range config.PolicyWords() {
		counts := true
		for _, l := range layers {
			value := l.Policy.Word(word)
			if value == "" {
				continue
			}
			for _, entry := range entriesOf(word, value) {
				all = append(all, PolicyLine{Word: word, Value: entry, From: string(l.From), Source: sourceOf(l.From, word, said.Name), Unused: !counts})
			}
			counts = false
		}
		if value := plan.Unsaid(said).Word(word); counts && value != "" && value != config.None {
			all = append(all, PolicyLine{Word: word, Value: value, From: fromDefault})
		}
	}
	all = append(all, exceptionLines(s, n, e)...)
	for _, u := range plan.UnmetNetworks(s, n, e) {
		for i, l := range all {
			if l.Value == u.Entry && !l.Unused && l.Word != "egress.deny" {
				all[i].Closed = u.Why
			}
		}
	}
	return all
}

// exceptionLines are the exceptions, of which those are unused that nothing is open by.
func exceptionLines(s *model.State, n *model.Network, e *model.Endpoint) (all []PolicyLine) {
	inForce := s.PolicyOf(n, e)
	note := func(who string, x *model.Exceptions) {
		for _, one := range x.List() {
			line := PolicyLine{Word: "egress.allow", Value: one.To, From: fromException, Source: who, Until: one.Until}
			list := inForce.Allow
			if one.Deny {
				line.Word, list = "egress.deny", inForce.Deny
			}
			line.Unused = !slices.Contains(config.Entries(list), one.To)
			all = append(all, line)
		}
	}
	note("network", n.Exceptions)
	if e != nil {
		note("container", e.Exceptions)
	}
	return all
}

// entriesOf are those of a list, or the one value.
func entriesOf(word, value string) []string {
	if !config.IsList(word) {
		return []string{value}
	}
	return strings.Split(value, ",")
}

// sourceOf names a layer as who wrote it knows it.
func sourceOf(from model.LayerKind, word, name string) string {
	switch from {
	case model.OfName, model.OfMissing:
		return name
	case model.OfSettings:
		return "GANGWAY_DEFAULT_" + strings.ToUpper(word)
	}
	return "gangway." + word
}

// TestPolicy says what counts for a flow to an address or a name, with a port and a protocol, or of
// ICMP without. No packet is sent, and no server of names is asked.
func (d *Driver) TestPolicy(ctx context.Context, of Whom, to string) (PolicyVerdict, error) {
	packet, name, err := parsePacket(to)
	if err != nil {
		return PolicyVerdict{}, err
	}
	host, err := d.o.Facts.HostAddresses(ctx)
	if err != nil {
		return PolicyVerdict{}, err
	}
	learned, err := d.learnedBy(of)
	if err != nil {
		return PolicyVerdict{}, err
	}
	learned = slices.DeleteFunc(learned, func(l policy.Learned) bool { return l.To != packet.To && l.Name != name })
	s, unlock := d.desired.Read()
	defer unlock()
	n, e, err := find(s, of)
	if err != nil {
		return PolicyVerdict{}, err
	}
	if name == "" && !n.Subnet(packet.To.Is6()).IsValid() {
		return PolicyVerdict{}, fmt.Errorf("network %s has no addresses of the family of %s", model.Short(n.ID), packet.To)
	}
	v := PolicyVerdict{Whom: of, To: to, Allowed: true, Learned: learnedNames(learned)}
	local := host[packet.To]
	if n.Contains(packet.To) && !local {
		v.Note = "within a network no policy has a say: that is com.docker.network.bridge.enable_icc"
		return v, nil
	}
	p, err := policy.Of(s.PolicyOf(n, e))
	if err != nil {
		return v, err
	}
	packet.Names = namesOf(learned, packet.To)
	why := p.Why(packet, local)
	if name != "" {
		if !p.Asks() {
			return v, fmt.Errorf("destination %q: the policy has no names in it, so addresses alone decide: ask for one", to)
		}
		why, v.Note = p.WhyNamed(name, packet)
	}
	v.Allowed, v.Audit, v.Rule = why.Passes, p.Audit, lineOf(lines(s, n, e), why.By)
	if name == "" {
		v.Note = beyond(s, n, e, packet)
	}
	return v, nil
}

// lineOf finds the line that an entry is of. One that stands for several, as names do that are
// allowed for the same ports, is said by who has said the first of them.
func lineOf(all []PolicyLine, by policy.Entry) PolicyLine {
	found := PolicyLine{Word: strings.TrimPrefix(string(by.Option), "gangway."), Value: by.Value, From: fromDefault}
	for _, l := range all {
		switch {
		case l.Word != found.Word || l.Unused:
		case l.Value == by.Value, l.Value == "53" && by.Value == config.HostDNS: // it has two spellings
			return l
		case found.From == fromDefault:
			found.From, found.Source = l.From, l.Source
		}
	}
	return found
}

// beyond says what decides besides who begins the flow.
func beyond(s *model.State, n *model.Network, e *model.Endpoint, asked policy.Packet) string {
	for _, o := range s.Networks {
		if o.ID == n.ID || !o.Contains(asked.To) {
			continue
		}
		to := s.Holders[asked.To]
		if to != nil && to.NetworkID == o.ID && plan.PeersWith(s, n, e, to, asked) {
			return fmt.Sprintf("%s is on network %s, and the policies of both sides name each other's network: the isolation of networks lets it pass", asked.To, model.Short(o.ID))
		}
		return fmt.Sprintf("%s is on network %s: networks are isolated from each other, unless gangway.egress.allow here and gangway.ingress there name the other one (network:NAME); gangway trace says more", asked.To, model.Short(o.ID))
	}
	return ""
}

// parsePacket reads ADDRESS[:PORT][/PROTOCOL], or a name in the place of the address.
func parsePacket(text string) (p policy.Packet, name string, err error) {
	all, err := config.ParseDestinations(text)
	if err != nil {
		return p, "", fmt.Errorf("destination %q %w", text, err)
	}
	if len(all) != 1 || all[0].Group != "" || all[0].Plain() == "" && !all[0].Prefix.IsSingleIP() || all[0].First != all[0].Last || all[0].Proto != 0 && all[0].First == 0 {
		return p, "", fmt.Errorf("destination %q: want one address or name, as 10.0.5.7:5432/tcp, or an address alone for ping", text)
	}
	p = policy.Packet{To: all[0].Prefix.Addr(), Proto: all[0].Proto, Port: all[0].First}
	switch {
	case p.Proto != 0:
	case p.Port != 0:
		p.Proto = 6
	case p.To.Is6():
		p.Proto = 58
	default:
		p.Proto = 1
	}
	return p, all[0].Plain(), nil
}

// ExceptionStatus is an exception as the admin API shows it.
type ExceptionStatus struct {
	Whom
	Deny  bool       `json:"deny,omitempty"`
	To    string     `json:"to"`
	Until *time.Time `json:"until,omitempty"`
}

// Exceptions lists all that there are, sorted by whom they are for.
func (d *Driver) Exceptions() []ExceptionStatus {
	out := []ExceptionStatus{}
	for of, x := range d.excepted() {
		for _, one := range x.List() {
			out = append(out, ExceptionStatus{Whom: of, Deny: one.Deny, To: one.To, Until: one.Until})
		}
	}
	slices.SortFunc(out, func(a, b ExceptionStatus) int {
		return strings.Compare(a.NetworkID+a.EndpointID+a.To, b.NetworkID+b.EndpointID+b.To)
	})
	return out
}
