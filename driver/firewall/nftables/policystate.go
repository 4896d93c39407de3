package nftables

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	nft "github.com/google/nftables"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// policyState is what the policy table is for. Values are never changed.
type policyState struct {
	// bridges has the bindings on each bridge, by key.
	bridges map[string]map[any]policy.Binding
	log     bool
	// serving is where the daemon is for policies with names.
	serving policy.Serving
}

// with returns the state with other bindings.
func (s policyState) with(remove, add []policy.Binding) policyState {
	next := policyState{maps.Clone(s.bridges), s.log, s.serving}
	if next.bridges == nil {
		next.bridges = map[string]map[any]policy.Binding{}
	}
	fresh := map[string]bool{}
	on := func(bridge string) map[any]policy.Binding {
		if !fresh[bridge] {
			fresh[bridge], next.bridges[bridge] = true, maps.Clone(next.bridges[bridge])
		}
		if next.bridges[bridge] == nil {
			next.bridges[bridge] = map[any]policy.Binding{}
		}
		return next.bridges[bridge]
	}
	for _, b := range remove {
		delete(on(b.Bridge), b.Key())
	}
	for _, b := range add {
		on(b.Bridge)[b.Key()] = b
	}
	maps.DeleteFunc(next.bridges, func(_ string, of map[any]policy.Binding) bool { return len(of) == 0 })
	return next
}

func (s policyState) empty() bool { return len(s.bridges) == 0 }

// all are the bindings, of one bridge or of all.
func (s policyState) of(bridge string) []policy.Binding {
	return slices.SortedFunc(maps.Values(s.bridges[bridge]), func(a, b policy.Binding) int {
		return strings.Compare(a.Key().(string), b.Key().(string))
	})
}

func (s policyState) all() (all []policy.Binding) {
	for _, bridge := range slices.Sorted(maps.Keys(s.bridges)) {
		all = append(all, s.of(bridge)...)
	}
	return all
}

// policies are those that somebody has, by id.
func (s policyState) policies() map[string]config.Policy {
	all := map[string]config.Policy{}
	seen := map[config.Policy]bool{}
	for _, of := range s.bridges {
		for _, b := range of {
			if !seen[b.Texts] {
				seen[b.Texts] = true
				all[policyID(b.Texts)] = b.Texts
			}
		}
	}
	return all
}

// whose returns what finds the policy that counts for a container's address.
func (s policyState) whose() func(netip.Addr) config.Policy {
	own := map[netip.Addr]config.Policy{}
	var networks []policy.Binding
	for _, of := range s.bridges {
		for _, b := range of {
			for _, a := range b.Addrs {
				own[a] = b.Texts
			}
			if b.EndpointID == "" {
				networks = append(networks, b)
			}
		}
	}
	return func(a netip.Addr) config.Policy {
		if texts, found := own[a]; found {
			return texts
		}
		for _, b := range networks {
			if slices.ContainsFunc(b.Subnets, func(p netip.Prefix) bool { return p.Contains(a) }) {
				return b.Texts
			}
		}
		return config.Policy{}
	}
}

// image is what a part of the table has, or all of it.
type image struct {
	sets   map[string]*set
	chains []chain
	items  contents
}

func (i *image) add(p policyPart) {
	maps.Copy(i.sets, p.sets)
	i.chains = append(i.chains, p.chains...)
	for name, items := range p.items {
		for _, one := range items {
			i.items.put(name, one)
		}
	}
}

func newImage() image { return image{sets: map[string]*set{}, items: contents{}} }

func partOfTexts(id string, texts config.Policy) policyPart {
	p, _ := policy.Of(texts) // it is closed with an error
	return partOf(id, p.Compile())
}

// image is all that the table has for the state; nothing where nobody has a policy.
func (s policyState) image() image {
	i := newImage()
	if s.empty() {
		return i
	}
	rows := rowsOfPolicy()
	i.add(policyPart{sets: setsOf(everyRow()), chains: policyChains(s.log), items: contents{}})
	for _, h := range headers() {
		all := rows.public.of(h)
		ranges4or6(policy.Public(), h, receiver)(i.items.put, &all)
	}
	i.add(resolverPart(s.serving.Questions))
	i.add(readerPart(s.serving.Connections))
	policies := s.policies()
	for _, id := range slices.Sorted(maps.Keys(policies)) {
		i.add(partOfTexts(id, policies[id]))
	}
	for _, bridge := range slices.Sorted(maps.Keys(s.bridges)) {
		i.add(bridgePart(s.of(bridge)))
	}
	return i
}

// policyChange is one transaction of the policy table.
type policyChange struct {
	// remove deletes the table, create makes it; adopt makes the connection its owner.
	remove, create, adopt bool
	// gone and fresh are what goes and what comes. The items are of sets that stay, too.
	gone, fresh image
	// turned are chains that stay with other rules.
	turned []chain
	// names is what was learned of names.
	names policy.Change
}

func (c policyChange) empty() bool {
	return !c.remove && !c.create && c.gone.items.len()+c.fresh.items.len()+len(c.gone.chains)+len(c.fresh.chains)+len(c.turned) == 0 && c.names.Empty()
}

// to is the change that leads to another state, at the cost of the bridges that differ. Both
// states have bindings, or the table comes or goes as a whole.
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
	was, is := s.policies(), next.policies()
	for id, texts := range was {
		if _, stays := is[id]; !stays {
			p := partOfTexts(id, texts)
			c.gone.add(policyPart{sets: p.sets, chains: p.chains}) // what is in sets goes with them
		}
	}
	for id, texts := range is {
		if _, there := was[id]; !there {
			c.fresh.add(partOfTexts(id, texts))
		}
	}
	gone, fresh := s.moved(next)
	c.gone.add(policyPart{items: gone})
	c.fresh.add(policyPart{items: fresh})
	if s.serving.Questions != next.serving.Questions {
		c.gone.add(resolverPart(s.serving.Questions))
		c.fresh.add(resolverPart(next.serving.Questions))
	}
	if s.serving.Connections != next.serving.Connections {
		c.gone.add(readerPart(s.serving.Connections))
		c.fresh.add(readerPart(next.serving.Connections))
	}
	if s.log != next.log {
		c.turned = refusingChains(rowsOfPolicy(), next.log)
	}
	return c
}

// moved are the items that lead to policies in only one of two states.
func (s policyState) moved(next policyState) (gone, fresh contents) {
	gone, fresh = contents{}, contents{}
	for bridge := range keysOf(s.bridges, next.bridges) {
		if maps.EqualFunc(s.bridges[bridge], next.bridges[bridge], equalBindings) {
			continue
		}
		d := bridgePart(s.of(bridge)).items.diff(bridgePart(next.of(bridge)).items)
		for _, side := range []struct{ from, to contents }{{d.gone, gone}, {d.fresh, fresh}} {
			for set, items := range side.from {
				for _, i := range items {
					side.to.put(set, i)
				}
			}
		}
	}
	return gone, fresh
}

func equalBindings(a, b policy.Binding) bool {
	return a.NetworkID == b.NetworkID && a.EndpointID == b.EndpointID && a.Bridge == b.Bridge && a.Texts == b.Texts &&
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
	for _, list := range [][]chain{c.fresh.chains, c.turned, c.gone.chains} {
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
	for i := range c.turned {
		conn.FlushChain(&c.turned[i].Chain)
	}
	for _, list := range [][]chain{c.fresh.chains, c.turned} {
		for i := range list {
			for _, r := range list[i].rules {
				conn.AddRule(&nft.Rule{Table: t, Chain: &list[i].Chain, Exprs: r})
			}
		}
	}
	return nil
}

func (c policyChange) writeItems(conn *nft.Conn, t *nft.Table) error {
	known := inTable(t, setsOf(everyRow()))
	known = append(known, inTable(t, c.fresh.sets)...)
	for _, step := range []struct {
		items contents
		send  func(*nft.Set, []nft.SetElement) error
	}{{c.gone.items, conn.SetDeleteElements}, {c.fresh.items, conn.SetAddElements}} {
		done := map[string]bool{}
		for _, s := range known {
			if done[s.Name] {
				continue
			}
			done[s.Name] = true
			if err := inParts(step.send, &s.Set, encode(s, step.items[s.Name])); err != nil {
				return err
			}
		}
	}
	return nil
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
