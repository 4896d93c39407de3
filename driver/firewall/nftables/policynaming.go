package nftables

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// inForce is a policy that somebody has, with what is asked of it for each who has it.
type inForce struct {
	// id names its chains and sets. It stays when the policy changes.
	id    string
	texts config.Policy
	traits
}

type traits struct {
	outward, everybody, audit, asks, reads bool
	// entries is how many its lists have.
	entries int
}

func traitsOf(p policy.Policy) traits {
	return traits{p.Outward(), p.Everybody, p.Audit, p.Asks(), p.Reads(), len(p.Allow) + len(p.Deny) + len(p.Ingress)}
}

// leads is what elements that lead to the policy say of it.
func (t traits) leads() traits {
	t.entries = 0
	return t
}

// mostEntries bounds the entries of all policies that somebody has, each counted once: a hundred
// of ten thousand entries. The kernel takes 300 bytes for each, the daemon some twenty.
const mostEntries = 1 << 20

// fits refuses a state with more entries than that, unless it has fewer than the one before.
func (s policyState) fits(before policyState) error {
	if n := s.entries(); n > mostEntries && n > before.entries() {
		return fmt.Errorf("all policies of networks and containers together would have %d entries, and may have %d: have containers name one policy in the place of long lists of their own", n, mostEntries)
	}
	return nil
}

func (s policyState) entries() (n int) {
	for _, p := range s.policies {
		n += p.entries
	}
	return n
}

// read is the policy. It is read anew each time: kept, ten thousand entries are a megabyte, and
// a thousand containers may have as many policies.
func (p *inForce) read() policy.Policy {
	of, _ := policy.Of(p.texts) // it is closed with an error
	return of
}

func (p *inForce) part() policyPart { return partOf(p.id, p.digest(), p.read().Compile()) }

// digest tells policies apart.
func (p *inForce) digest() string { return digestOf(p.texts, 0) }

func digestOf(texts config.Policy, more int) string {
	b := fmt.Appendf(nil, "{%q %q %q %q %q %q}", texts.Egress, texts.Allow, texts.Deny, texts.Ingress, texts.Host, texts.Mode)
	if texts.Networks != "" {
		b = fmt.Appendf(b, "%q", texts.Networks)
	}
	if texts.Names != "" { // what is by address keeps the digest that it had before there were others
		b = append(b, texts.Names...)
	}
	if more > 0 {
		b = fmt.Append(b, more)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// idLength is how much of a digest names a policy: six bytes, in hexadecimal.
const idLength = 12

// idBytes are those of a policy's id.
func idBytes(id string) []byte {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != idLength/2 {
		panic("a policy has the id " + id)
	}
	return b
}

// naming finds the policies of bindings that come, and names those that nobody had. The name of
// one that all leave who had it goes to one to which some of them go: what differs is a matter
// of elements then, and all else stays as it is, with what it has counted. By their contents
// named, ten thousand entries would be made anew for each that changes.
type naming struct {
	was   policyState
	fresh map[config.Policy]*inForce
	moves []move
}

type move struct {
	key      string
	from, to *inForce
}

// of is the policy of a binding.
func (n *naming) of(b policy.Binding) *inForce {
	p := n.was.policies[b.Texts]
	if p == nil {
		p = n.fresh[b.Texts]
	}
	if p == nil {
		of := b.Policy()
		p = &inForce{texts: b.Texts, traits: traitsOf(of)}
		n.fresh[b.Texts] = p
	}
	if before, there := n.was.bridges[b.Bridge][b.Key()]; there && before.inForce != p {
		n.moves = append(n.moves, move{b.Key().(string), before.inForce, p})
	}
	return p
}

// name names them, and returns all that somebody has.
func (n *naming) name(bridges map[string]map[any]bound) map[config.Policy]*inForce {
	used := map[*inForce]bool{}
	for _, of := range bridges {
		for _, b := range of {
			used[b.inForce] = true
		}
	}
	taken := map[string]bool{}
	for _, p := range n.was.policies {
		taken[p.id] = true
	}
	for _, id := range n.was.known {
		taken[id] = true
	}
	slices.SortFunc(n.moves, func(a, b move) int { return strings.Compare(a.key, b.key) })
	inherited := map[*inForce]bool{}
	for _, m := range n.moves {
		if n.was.known == nil && m.to.id == "" && !used[m.from] && !inherited[m.from] {
			m.to.id, inherited[m.from] = m.from.id, true
		}
	}
	all := map[config.Policy]*inForce{}
	for p := range used {
		all[p.texts] = p
	}
	byDigest := map[string]*inForce{}
	for _, p := range all {
		if p.id == "" {
			byDigest[p.digest()] = p
		}
	}
	for _, digest := range slices.Sorted(maps.Keys(byDigest)) {
		p := byDigest[digest]
		if p.id = n.was.known[digest]; p.id == "" {
			p.id = free(p.texts, taken)
		}
		taken[p.id] = true
	}
	return all
}

// free is a name that no policy has.
func free(texts config.Policy, taken map[string]bool) string {
	for more := 0; ; more++ {
		if id := digestOf(texts, more)[:idLength]; !taken[id] {
			return id
		}
	}
}

// knownPolicies are the names that policies have in the table, by digest.
type knownPolicies map[string]string

// knowPolicies reads which policies the table has, for a process that does not know all of it:
// names say nothing of what has one.
func (p *PolicyTable) knowPolicies() (knownPolicies, error) {
	of := rowsOfPolicy().policies.of(inet())
	elements, err := p.reader.read(policyTable, of.Name)
	switch {
	case errors.Is(err, unix.ENOENT): // a table of a version before
	case err != nil:
		return nil, fmt.Errorf("read which policies table inet %s has: %w", policyTable, explain(err))
	}
	return policiesOf(&of, elements[of.Name]), nil
}

func policiesOf(of *set, elements []nft.SetElement) knownPolicies {
	known := knownPolicies{}
	for _, e := range elements {
		if v, ok := of.keys.decode(e.Key); ok {
			known[e.Comment] = hex.EncodeToString(v.ether[:])
		}
	}
	return known
}

// ids returns what names a policy in one of these states.
func ids(states ...policyState) func(config.Policy) string {
	var last *inForce
	return func(texts config.Policy) string {
		if last != nil && last.texts == texts {
			return last.id // there are many of one in a row
		}
		for _, s := range states {
			if p := s.policies[texts]; p != nil {
				last = p
				return p.id
			}
		}
		return ""
	}
}
