package model

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
)

// TestPrecedence holds what counts against a plain model: word by word the first that says
// something of container, network, named policy and settings; exceptions beside that.
func TestPrecedence(t *testing.T) {
	rng := rand.New(rand.NewPCG(rand.Uint64(), 7))
	pick := func(words ...string) string { return words[rng.IntN(len(words))] }
	said := func() config.Policy {
		return config.Policy{
			Egress: pick("", "", "open", "internet", "deny"), Allow: pick("", "", "none", "10.0.0.1", "10.0.0.2:80"), Deny: pick("", "", "none", "metadata"),
			Ingress: pick("", "lan", "none"), Host: pick("", "53", "any"), Mode: pick("", "audit"),
		}
	}
	exceptions := func() *Exceptions {
		var x *Exceptions
		for range rng.IntN(3) {
			x = x.With(Exception{Deny: rng.IntN(2) == 0, To: pick("10.0.0.3", "10.0.0.4:443/tcp", "private")})
		}
		return x
	}
	for range 5000 {
		s := NewState()
		s.Defaults = said()
		s.Policies["a"], s.Policies["b"] = &NamedPolicy{Name: "a", Policy: said()}, &NamedPolicy{Name: "b", Policy: said()}
		n := &Network{Exceptions: exceptions()}
		n.Options.Policy = said()
		n.Options.Policy.Name = pick("", "a", "b", "gone")
		e := &Endpoint{Exceptions: exceptions()}
		if e.Options.Policy = said(); rng.IntN(2) == 0 {
			e.Options.Policy = config.Policy{}
		}
		e.Options.Policy.Name = pick("", "", "a", "b")
		for _, e := range []*Endpoint{nil, e} {
			if got, want := s.PolicyOf(n, e), plainly(s, n, e); got != want {
				t.Fatalf("network %+v with %+v, container %+v, policies %+v and %+v, defaults %+v:\ngot  %+v\nwant %+v", n.Options.Policy, n.Exceptions, e, s.Policies["a"], s.Policies["b"], s.Defaults, got, want)
			}
		}
	}
}

// plainly is the model of TestPrecedence.
func plainly(s *State, n *Network, e *Endpoint) config.Policy {
	var own config.Policy
	if e != nil {
		own = e.Options.Policy
	}
	name := cmp.Or(own.Name, n.Options.Policy.Name)
	named := config.Policy{}
	switch p := s.Policies[name]; {
	case p != nil:
		named = p.Policy
	case name != "":
		named = config.Policy{Egress: "deny", Ingress: "none", Host: "none"}
	}
	said := func(word string) string {
		return cmp.Or(own.Word(word), n.Options.Policy.Word(word), named.Word(word), s.Defaults.Word(word))
	}
	p := config.Policy{Name: name, Egress: said("egress"), Allow: said("egress.allow"), Deny: said("egress.deny"), Ingress: said("ingress"), Host: said("host"), Mode: said("mode")}
	allow, deny := config.Entries(p.Allow), config.Entries(p.Deny)
	for _, x := range n.Exceptions.List() {
		switch {
		case x.Deny:
			deny = append(deny, x.To)
		case p.Egress != "" && p.Egress != "open" && own.Allow == "" && own.Name == "":
			allow = append(allow, x.To)
		}
	}
	if e != nil {
		for _, x := range e.Exceptions.List() {
			switch {
			case x.Deny:
				deny = append(deny, x.To)
			case p.Egress != "" && p.Egress != "open":
				allow = append(allow, x.To)
			}
		}
	}
	list := func(was string, entries []string) string {
		slices.Sort(entries)
		return cmp.Or(strings.Join(slices.Compact(entries), ","), was)
	}
	p.Allow, p.Deny = list(p.Allow, allow), list(p.Deny, deny)
	return p
}

// TestExceptions: there is one for a destination, and each ends in its time.
func TestExceptions(t *testing.T) {
	now := time.Now()
	later := now.Add(time.Minute)
	x := (*Exceptions)(nil).With(Exception{To: "10.0.0.1"}).With(Exception{To: "10.0.0.2", Until: &later}).With(Exception{To: "10.0.0.1", Deny: true})
	if len(x.List()) != 2 || !x.List()[1].Deny {
		t.Errorf("%+v", x)
	}
	if left, ended := x.At(now); ended || left != x {
		t.Errorf("%+v ended before its time", x)
	}
	left, ended := x.At(later)
	if !ended || len(left.List()) != 1 || left.List()[0].To != "10.0.0.1" {
		t.Errorf("%+v at its end", left)
	}
	if none, had := left.Without("10.0.0.1"); !had || none != nil {
		t.Errorf("%+v after the last one", none)
	}
	if _, had := left.Without("10.0.0.9"); had {
		t.Error("one that never was")
	}
}

// TestKnowsPolicy: a policy that is not there is refused with the nearest name, or how to make it.
func TestKnowsPolicy(t *testing.T) {
	s := NewState()
	for _, want := range []string{"nor any other: make it with gangway policy apply FILE", "did you mean agents?"} {
		if err := s.KnowsPolicy("agnts"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		s.Policies["agents"] = &NamedPolicy{Name: "agents"}
	}
	if err := s.KnowsPolicy("databases"); err == nil || !strings.Contains(err.Error(), "gangway policy ls lists them") {
		t.Error(err)
	}
	for _, name := range []string{"", "agents"} {
		if err := s.KnowsPolicy(name); err != nil {
			t.Error(err)
		}
	}
}
