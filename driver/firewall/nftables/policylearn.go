package nftables

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	nft "github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// learning is what the table has of names beside its state: what was learned, and where the
// daemon serves from the next change on.
type learning struct {
	memory policy.Memory
	at     policy.Serving
}

// Serve says where the daemon serves policies with names, from the next change on.
func (p *PolicyTable) Serve(at policy.Serving) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.learned.at = at
}

// Learn opens addresses of names, for whom they are and until they end. It is in the kernel
// when it returns. What was learned is no part of any state: it ends by itself, in the kernel
// too. So it is the one change that does not come by Apply: that would compare all bindings
// for each answer of the DNS. Without a table there is nobody to learn for. A policy that nobody has any more
// learns nothing. It is an error that a container has another policy by now than that by which its answer
// was judged, and opens nothing: the name may be allowed no more.
func (p *PolicyTable) Learn(ctx context.Context, list []policy.Learned) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if p.state.empty() || !p.synced {
		return errors.New("open addresses of names: nobody has a policy")
	}
	list, err := p.state.mayLearn(list)
	if err != nil {
		return fmt.Errorf("open addresses of names: %w", err)
	}
	c := p.learned.memory.Learn(list, time.Now())
	if c.Empty() {
		return nil
	}
	change := policyChange{names: learnedChange{c, ids(p.state)}}
	err = p.commit(change)
	if errors.Is(err, unix.ENOENT) {
		err = p.commit(change) // an element ended between two steps
	}
	if err != nil {
		p.forget(append(c.Fresh, c.Recall...))
		p.seen = 0
		return fmt.Errorf("open addresses of names: %w", err)
	}
	return nil
}

// mayLearn leaves out what the state has no place for.
func (s policyState) mayLearn(list []policy.Learned) (all []policy.Learned, err error) {
	for _, l := range list {
		switch {
		case !l.Addr.IsValid():
			if s.policies[l.Policy] == nil {
				continue
			}
		case l.Addr.Is4() != l.To.Is4():
			continue
		default:
			if of := s.having(l.Addr); of == nil || of.texts != l.By {
				return nil, fmt.Errorf("the policy of %s has changed since it asked for %s", l.Addr, l.Name)
			}
		}
		all = append(all, l)
	}
	return all, nil
}

// forget takes back what the kernel did not get.
func (p *PolicyTable) forget(list []policy.Learned) {
	type key struct {
		who policy.Who
		to  string
	}
	gone := map[key]bool{}
	for _, l := range list {
		gone[key{l.Who, l.To.String()}] = true
	}
	p.learned.memory.Keep(func(l policy.Learned) bool { return !gone[key{l.Who, l.To.String()}] }, time.Now())
}

// Names are those by which somebody has learned of an address, also a while ago.
func (p *PolicyTable) Names(who policy.Who, to netip.Addr) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.learned.memory.Names(who, to)
}

// Learned are addresses that names have opened for some, and that are open still.
func (p *PolicyTable) Learned(of []policy.Who) []policy.Learned {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.learned.memory.OpenTo(of, time.Now())
}

// Knows says that somebody has learned of an address by that very name, and may go there still.
func (p *PolicyTable) Knows(who policy.Who, to netip.Addr, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.learned.memory.Knows(who, to, name, time.Now())
}

// all is what a table that is made anew has of names.
func (p *PolicyTable) all() policy.Change {
	now := time.Now()
	return policy.Change{Fresh: p.learned.memory.Open(now), Recall: p.learned.memory.Recalled(now)}
}

// outdated takes from memory what the next state does not allow any more, and returns it. What
// was learned for a policy stays with what that has become.
func (p *PolicyTable) outdated(next policyState) []policy.Learned {
	was := p.state.named()
	for id, is := range next.named() {
		if from := was[id]; from != nil && from != is {
			p.learned.memory.Move(policy.Who{Policy: from.texts}, policy.Who{Policy: is.texts})
		}
	}
	policies := map[*inForce]policy.Policy{}
	opens := func(of *inForce, name string) []config.Ports {
		p, known := policies[of]
		if !known {
			p = of.read()
			policies[of] = p
		}
		return p.Opens(name)
	}
	who := next.whose()
	return p.learned.memory.Keep(func(l policy.Learned) bool {
		of := next.policies[l.Policy]
		if l.Addr.IsValid() {
			of = who(l.Addr)
		}
		return of != nil && slices.Contains(opens(of, l.Name), l.Ports)
	}, time.Now())
}

// writeNames writes what was learned. An element that is there keeps its time, whatever is
// added: so each is added, deleted and added.
func (c policyChange) writeNames(conn *nft.Conn, t *nft.Table) error {
	n := rowsOfNames()
	for _, of := range []struct {
		list     []policy.Learned
		one, all row
		stays    bool
	}{
		{c.names.Gone, n.named, n.namedAll, false}, {c.names.Gone, n.recalled, n.recalledAll, false},
		{c.names.Fresh, n.named, n.namedAll, true}, {c.names.Recall, n.recalled, n.recalledAll, true},
	} {
		bySet := map[string][]nft.SetElement{}
		sets := map[string]*set{}
		for _, l := range of.list {
			if !of.stays {
				l.Until = time.Now().Add(endsSoon) // it is added before it is deleted
			}
			s, e := element(l, c.names.id, of.one, of.all)
			s.Table = t
			sets[s.Name], bySet[s.Name] = s, append(bySet[s.Name], e)
		}
		for name, elements := range bySet {
			steps := []func(*nft.Set, []nft.SetElement) error{conn.SetAddElements, conn.SetDeleteElements}
			if of.stays {
				steps = append(steps, conn.SetAddElements)
			}
			for _, send := range steps {
				if err := inParts(send, &sets[name].Set, elements); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// endsSoon is for how long an element may be in memory and not in the kernel any more, or the
// other way round.
const endsSoon = 2 * time.Second

// compareLearned compares what was learned with what is in the kernel. What is there when the
// daemon starts was learned by the one before.
func (p *PolicyTable) compareLearned(l *policyListing, want policyState) {
	policies := want.named()
	n, now := rowsOfNames(), time.Now()
	open, recalled := p.learned.memory.Open(now), p.learned.memory.Recalled(now)
	for _, h := range headers() {
		for _, r := range []struct {
			row
			known []policy.Learned
			alive bool
		}{{n.named, open, true}, {n.namedAll, open, true}, {n.recalled, recalled, false}, {n.recalledAll, recalled, false}} {
			s := r.of(h)
			is, strange := readLearned(&s, l.timed[s.Name], policies)
			if !p.synced {
				for _, one := range is {
					recall := one.Until
					if !r.alive {
						one.Until = time.Time{}
					}
					p.learned.memory.Recall(one, recall)
				}
				if len(is) < len(l.timed[s.Name]) {
					l.fault("set %s had %d elements that nobody has a policy for", s.Name, len(l.timed[s.Name])-len(is))
				}
				continue
			}
			p.compareSet(l, &s, is, r.known, strange)
		}
	}
}

// compareSet finds what of a set is not as it was learned.
func (p *PolicyTable) compareSet(l *policyListing, s *set, is, known []policy.Learned, strange int) {
	there := map[learnedKey]bool{}
	lacks, others := 0, strange
	soon := time.Now().Add(endsSoon)
	for _, one := range is {
		key := keyOf(one)
		there[key] = true
		if !p.learned.memory.Has(one) && one.Until.After(soon) {
			others++
		}
	}
	for _, k := range known {
		if (k.To.Is6() == s.family.six()) && k.Addr.IsValid() == (s.key[0].kind == address) && k.Until.After(soon) && !there[keyOf(k)] {
			lacks++
		}
	}
	if l.exists && lacks+others > 0 {
		l.fault("set %s lacked %d elements, had %d others", s.Name, lacks, others)
	}
}

type learnedKey struct {
	policy.Who
	to    netip.Addr
	ports config.Ports
}

func keyOf(l policy.Learned) learnedKey { return learnedKey{l.Who, l.To, l.Ports} }

// readLearned takes what the kernel has of one set of learned addresses. Elements whose
// policy nobody has are left out.
func readLearned(s *set, elements []nft.SetElement, policies map[string]*inForce) (all []policy.Learned, strange int) {
	now := time.Now()
	for _, e := range elements {
		v, ok := s.keys.decode(e.Key)
		l := policy.Learned{Name: e.Comment, To: v.addr[receiver], Ports: config.Ports{Proto: uint8(v.proto), First: v.port[sender], Last: v.port[receiver]}, Until: now.Add(e.Expires)} //nolint:gosec // a byte
		l.Addr = v.addr[sender]
		if s.key[0].kind == hardwareAddress {
			of := policies[hex.EncodeToString(v.ether[:])]
			if ok = ok && of != nil; ok {
				l.Policy, l.Addr = of.texts, netip.Addr{}
			}
		}
		if !ok || e.Timeout == 0 {
			strange++
			continue
		}
		all = append(all, l)
	}
	return all, strange
}
