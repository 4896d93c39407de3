package nftables

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/mdlayher/netlink"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// policyChange is one transaction of the policy table.
type policyChange struct {
	// remove deletes the table, create makes it; adopt makes the connection its owner.
	remove, create, adopt bool
	// gone and fresh are what goes and what comes. The items are of sets that stay, too.
	gone, fresh image
	// stays is of what stays as something else.
	stays staying
	// names is what was learned of names.
	names learnedChange
}

// learnedChange is a change of what was learned; id names policies.
type learnedChange struct {
	policy.Change
	id func(config.Policy) string
}

func (c policyChange) empty() bool {
	return !c.remove && !c.create && c.gone.items.len()+c.fresh.items.len()+len(c.gone.chains)+len(c.fresh.chains)+len(c.stays.turned) == 0 && c.names.Empty()
}

// to is the change that leads to another state, at the cost of the bridges and policies that
// differ. Both states have bindings, or the table comes or goes as a whole.
func (s policyState) to(next policyState) policyChange {
	switch {
	case s.empty() && next.empty():
		return policyChange{}
	case s.empty():
		return policyChange{create: true, fresh: next.image()}
	case next.empty():
		return policyChange{remove: true}
	}
	c := policyChange{gone: newImage(), fresh: newImage()}
	was, is := s.named(), next.named()
	for _, id := range slices.Sorted(maps.Keys(keysOf(was, is))) {
		switch from, to := was[id], is[id]; {
		case to == nil:
			c.leave(from.part())
		case from == nil:
			c.fresh.add(to.part())
		case from != to:
			c.become(id, from.part(), to.part())
		}
	}
	gone, fresh, turned := s.moved(next)
	c.gone.add(gone)
	c.fresh.add(fresh)
	c.stays.turned = append(c.stays.turned, turned...)
	if s.serving.Questions != next.serving.Questions {
		c.gone.add(resolverPart(s.serving.Questions))
		c.fresh.add(resolverPart(next.serving.Questions))
	}
	if s.serving.Connections != next.serving.Connections {
		c.gone.add(readerPart(s.serving.Connections))
		c.fresh.add(readerPart(next.serving.Connections))
	}
	if s.log != next.log {
		c.stays.turned = append(c.stays.turned, refusingChains(rowsOfPolicy(), next.log)...)
	}
	return c
}

// leave has all go that a policy has: what is in its sets goes with them.
func (c *policyChange) leave(p policyPart) {
	listed := rowsOfPolicy().policies.name
	c.gone.add(policyPart{sets: p.sets, chains: p.chains, items: contents{listed: p.items[listed]}})
}

// moved is what leads to policies in only one of two states, and chains that are others in both.
func (s policyState) moved(next policyState) (gone, fresh policyPart, turned []chain) {
	gone, fresh = policyPart{items: contents{}}, policyPart{items: contents{}}
	for bridge := range keysOf(s.bridges, next.bridges) {
		if maps.EqualFunc(s.bridges[bridge], next.bridges[bridge], equalBound) {
			continue
		}
		was, is := bridgePart(s.of(bridge)), bridgePart(next.of(bridge))
		chains := compareChains(was.chains, is.chains)
		gone.chains = append(gone.chains, chains.gone...)
		fresh.chains = append(fresh.chains, chains.fresh...)
		turned = append(turned, chains.turned...)
		d := was.items.diff(is.items)
		for _, side := range []struct{ from, to contents }{{d.gone, gone.items}, {d.fresh, fresh.items}} {
			for set, items := range side.from {
				for _, i := range items {
					side.to.put(set, i)
				}
			}
		}
	}
	return gone, fresh, turned
}

// chainsDelta are chains that go, that come, and that stay with other rules.
type chainsDelta struct{ gone, fresh, turned []chain }

func compareChains(was, is []chain) (d chainsDelta) {
	before := map[string]chain{}
	for _, c := range was {
		before[c.Name] = c
	}
	for _, c := range is {
		from, there := before[c.Name]
		delete(before, c.Name)
		switch {
		case !there:
			d.fresh = append(d.fresh, c)
		case !slices.EqualFunc(from.rules, c.rules, sameRule):
			d.turned = append(d.turned, c)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		d.gone = append(d.gone, before[name])
	}
	return d
}

// equalBound says that the same leads to the same, whatever a policy has become.
func equalBound(a, b bound) bool {
	return a.NetworkID == b.NetworkID && a.EndpointID == b.EndpointID && a.Bridge == b.Bridge && a.id == b.id && a.leads() == b.leads() &&
		slices.Equal(a.Subnets, b.Subnets) && slices.Equal(a.Addrs, b.Addrs)
}

func keysOf[V any](a, b map[string]V) map[string]bool {
	all := map[string]bool{}
	for _, m := range []map[string]V{a, b} {
		for k := range m {
			all[k] = true
		}
	}
	return all
}

// write collects the messages of the change, for a table of that name.
func (c policyChange) write(conn *nft.Conn, name string) error {
	t := table(name)
	if c.remove {
		conn.DelTable(t)
	}
	if c.create || c.adopt {
		conn.AddTable(t)
	}
	for _, list := range [][]chain{c.fresh.chains, c.stays.turned, c.gone.chains} {
		for i := range list {
			list[i].Table = t
		}
	}
	if err := c.writeFresh(conn, t); err != nil {
		return err
	}
	if err := c.writeItems(conn, t); err != nil {
		return err
	}
	if err := c.writeNames(conn, t); err != nil {
		return err
	}
	for i := range c.gone.chains {
		conn.FlushChain(&c.gone.chains[i].Chain)
	}
	for i := range c.gone.chains {
		conn.DelChain(&c.gone.chains[i].Chain)
	}
	for _, s := range inTable(t, c.gone.sets) {
		conn.DelSet(&s.Set)
	}
	return nil
}

// writeFresh makes chains and sets, and the rules.
func (c policyChange) writeFresh(conn *nft.Conn, t *nft.Table) error {
	for i := range c.fresh.chains {
		conn.AddChain(&c.fresh.chains[i].Chain)
	}
	for _, s := range inTable(t, c.fresh.sets) {
		if err := conn.AddSet(&s.Set, nil); err != nil {
			return fmt.Errorf("set %s: %w", s.Name, err)
		}
	}
	for i := range c.stays.turned {
		conn.FlushChain(&c.stays.turned[i].Chain)
	}
	for _, list := range [][]chain{c.fresh.chains, c.stays.turned} {
		for i := range list {
			for _, r := range c.stays.rulesOf(list[i]) {
				conn.AddRule(&nft.Rule{Table: t, Chain: &list[i].Chain, Exprs: r})
			}
		}
	}
	return nil
}

func (c policyChange) writeItems(conn *nft.Conn, t *nft.Table) error {
	known := inTable(t, setsOf(everyRow()))
	known = append(known, inTable(t, c.stays.sets)...)
	known = append(known, inTable(t, c.fresh.sets)...)
	for fresh, step := range []struct {
		items contents
		send  func(*nft.Set, []nft.SetElement) error
	}{{c.gone.items, conn.SetDeleteElements}, {c.fresh.items, conn.SetAddElements}} {
		done := map[string]bool{}
		for _, s := range known {
			if done[s.Name] {
				continue
			}
			done[s.Name] = true
			if err := inParts(step.send, &s.Set, encode(s, c.stays.without(s.Name, step.items[s.Name], fresh == 1))); err != nil {
				return err
			}
		}
	}
	return nil
}

// begun are the messages that add what begins with a count, which the library cannot say.
func (c policyChange) begun(w *wire) (all []netlink.Message, err error) {
	if len(c.stays.counts) == 0 {
		return nil, nil
	}
	sets := maps.Clone(c.stays.sets)
	maps.Copy(sets, c.fresh.sets)
	for _, s := range inTable(table(policyTable), sets) {
		items := map[string]item{}
		for key, i := range c.fresh.items[s.Name] {
			if c.stays.counts[elementAt{s.Name, key}] != nil {
				items[key] = i
			}
		}
		for part := range slices.Chunk(encode(s, items), perMessage) {
			m, err := w.addCounted(s, part, c.stays.counts)
			if err != nil {
				return nil, err
			}
			all = append(all, m)
		}
	}
	return all, nil
}

// inTable puts sets into a table, sorted by name. Numbers tell those of one transaction apart.
func inTable(t *nft.Table, sets map[string]*set) []*set {
	var all []*set
	for i, name := range slices.Sorted(maps.Keys(sets)) {
		s := *sets[name]
		s.Table, s.ID = t, uint32(i+1) //nolint:gosec // some hundred
		all = append(all, &s)
	}
	return all
}

// String is the change as commands of nft, for the log. Rules are left out.
func (c policyChange) String() string {
	var b strings.Builder
	name := "inet " + policyTable
	if c.remove {
		fmt.Fprintf(&b, "delete table %s\n", name)
	}
	if c.create || c.adopt {
		fmt.Fprintf(&b, "add table %s\n", name)
	}
	for _, ch := range c.fresh.chains {
		fmt.Fprintf(&b, "add chain %s %s\n", name, ch.Name)
	}
	sets := setsOf(everyRow())
	maps.Copy(sets, c.fresh.sets)
	maps.Copy(sets, c.stays.sets)
	for _, step := range []struct {
		verb  string
		items contents
	}{{"delete", c.gone.items}, {"add", c.fresh.items}} {
		for _, set := range slices.Sorted(maps.Keys(step.items)) {
			for _, i := range sorted(step.items[set]) {
				fmt.Fprintf(&b, "%s element %s %s { %s }\n", step.verb, name, set, sets[set].show(i))
			}
		}
	}
	for _, ch := range c.gone.chains {
		fmt.Fprintf(&b, "delete chain %s %s\n", name, ch.Name)
	}
	return b.String()
}
