package nftables

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// listing is what the kernel holds of the table.
type listing struct {
	// exists says whether the table is there.
	exists bool
	// broken has a line for each chain or set that is not what it should be.
	broken []string
	// items are those of the sets that are.
	items contents
	// plain says that the table could have an owner, but was made without one,
	// which cannot be changed; orphan that its owner is gone.
	plain, orphan bool
	// strange are elements that no item stands for, by set; with them the
	// table has to be made anew.
	strange map[string]int
}

// list reads the table. A table that changes meanwhile is read again.
func (k *kernel) list(ctx context.Context) (listing, error) {
	for range 8 {
		before, err := k.generation()
		if err != nil {
			return listing{}, err
		}
		l, err := k.listOnce(ctx)
		if err == nil {
			var after uint32
			if after, err = k.generation(); err == nil && after == before {
				return l, nil
			}
		}
		if err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.ENOENT) {
			k.stopReading()
			return listing{}, fmt.Errorf("list table inet %s: %w", tableName, explain(err))
		}
		k.stopReading()
	}
	return listing{}, fmt.Errorf("list table inet %s: nf_tables changes all the time", tableName)
}

func (k *kernel) listOnce(ctx context.Context) (listing, error) {
	l := listing{items: contents{}, strange: map[string]int{}}
	if err := k.open(); err != nil {
		return l, err
	}
	is, err := k.wire.claim(ctx, tableName)
	k.owns = err == nil && is.mine
	if l.exists = is.exists; err != nil || !l.exists {
		return l, err
	}
	k.judge(is, &l)
	if err := k.checkChains(&l); err != nil {
		return l, err
	}
	return l, k.readSets(&l)
}

// checkChains compares chains and rules with what they should be.
func (k *kernel) checkChains(l *listing) error {
	there, err := k.conn.ListChainsOfTableFamily(nft.TableFamilyINet)
	if err != nil {
		return err
	}
	t := table(tableName)
	found := map[string]*nft.Chain{}
	for _, c := range there {
		if c.Table.Name == tableName {
			found[c.Name] = c
		}
	}
	high, err := k.listRanges(found[highChain+"4"])
	if err != nil {
		return err
	}
	high.putInto(l.items)
	log, err := k.listLog(found["martian"], l.items)
	if err != nil {
		return err
	}
	for _, want := range chains(t, k.mark, high, log) {
		is := found[want.Name]
		delete(found, want.Name)
		switch {
		case is == nil:
			l.fault("chain %s was missing", want.Name)
			continue
		case !sameChain(is, &want.Chain):
			l.fault("chain %s had another hook", want.Name)
			continue
		}
		rules, err := k.wire.rulesOf(is)
		if err != nil {
			return err
		}
		missing, surplus, err := compareRules(rules, want.rules)
		if err != nil {
			return err
		}
		switch {
		case len(missing)+len(surplus) > 0:
			l.fault("chain %s lacked %d rules, had %d others", want.Name, len(missing), len(surplus))
		case len(rules) != len(want.rules):
			l.fault("chain %s had rules twice", want.Name)
		case !inOrder(rules, want.rules):
			l.fault("chain %s was in another order", want.Name)
		}
	}
	for name := range found {
		l.fault("chain %s was not gangway's", name)
	}
	slices.Sort(l.broken)
	return nil
}

func (l *listing) fault(format string, args ...any) {
	l.broken = append(l.broken, fmt.Sprintf(format, args...))
}

func sameChain(a, b *nft.Chain) bool {
	if (a.Hooknum == nil) != (b.Hooknum == nil) || a.Type != b.Type {
		return false
	}
	return a.Hooknum == nil || *a.Hooknum == *b.Hooknum && *a.Priority == *b.Priority && *a.Policy == *b.Policy
}

// text is a rule's form to compare by: the library's own, so that what the
// kernel adds to a listing makes no difference. What the library passes over in a listing is
// left out.
func text(exprs []expr.Any) (string, error) {
	var b bytes.Buffer
	for _, e := range exprs {
		switch e.(type) {
		case *expr.Rt, *expr.Byteorder:
			continue
		}
		m, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			return "", fmt.Errorf("compare rules: %w", err)
		}
		b.Write(m)
	}
	return b.String(), nil
}

// compareRules returns the rules that a chain lacks and those it should not
// have.
func compareRules(is []*nft.Rule, want [][]expr.Any) (missing, surplus []string, err error) {
	count := map[string]int{}
	for _, w := range want {
		s, err := text(w)
		if err != nil {
			return nil, nil, err
		}
		count[s]++
	}
	for _, r := range is {
		s, err := text(r.Exprs)
		if err != nil {
			return nil, nil, err
		}
		if count[s]--; count[s] < 0 {
			surplus = append(surplus, s)
		}
	}
	for s, n := range count {
		if n > 0 {
			missing = append(missing, s)
		}
	}
	return missing, surplus, nil
}

// inOrder compares rules of which each is there.
func inOrder(is []*nft.Rule, want [][]expr.Any) bool {
	return slices.EqualFunc(is, want, func(r *nft.Rule, w []expr.Any) bool {
		a, errA := text(r.Exprs)
		b, errB := text(w)
		return errA == nil && errB == nil && a == b
	})
}

// readSets compares the definitions of sets, and reads the items of those that
// are as they should be.
func (k *kernel) readSets(l *listing) error {
	t := table(tableName)
	there, err := k.conn.GetSets(t)
	if err != nil {
		return err
	}
	found := map[string]*nft.Set{}
	for _, s := range there {
		found[s.Name] = s
	}
	for _, want := range sets(t) {
		is := found[want.Name]
		delete(found, want.Name)
		switch {
		case is == nil:
			l.fault("set %s was missing", want.Name)
			continue
		case !sameSet(is, &want.Set):
			l.fault("set %s was of another kind", want.Name)
			continue
		case want.kind == counting:
			continue
		}
		elements, err := k.conn.GetSetElements(&want.Set)
		if err != nil {
			return err
		}
		items, strange := decode(&want, elements)
		if len(items) > 0 {
			l.items[want.Name] = items
		}
		if strange > 0 {
			l.strange[want.Name] = strange
		}
	}
	for name := range found {
		l.fault("set %s was not gangway's", name)
	}
	return nil
}

// sameSet compares definitions. Of a verdict map the library tells nothing
// about types.
func sameSet(a, b *nft.Set) bool {
	return a.Interval == b.Interval && a.IsMap == b.IsMap && a.Concatenation == b.Concatenation &&
		a.Constant == b.Constant && a.Dynamic == b.Dynamic && a.HasTimeout == b.HasTimeout &&
		(b.DataType.Name == nft.TypeVerdict.Name ||
			a.KeyType.GetNFTMagic() == b.KeyType.GetNFTMagic() && a.DataType.GetNFTMagic() == b.DataType.GetNFTMagic())
}

// decode turns elements into items, and counts those that no item stands for.
func decode(s *set, elements []nft.SetElement) (items map[string]item, strange int) {
	items = make(map[string]item, len(elements))
	notes := map[string]string{}
	if s.span() {
		sortSpans(elements)
	}
	var open *item // the interval whose end comes next
	for _, e := range elements {
		i := item{key: string(e.Key), end: string(e.KeyEnd), data: string(e.Val), note: intern(notes, e.Comment)}
		if s.verdict {
			i.data = gotoOf(e.Val)
		}
		switch {
		case !s.span() || !e.IntervalEnd:
			items[i.key], open = i, &i
		case open != nil:
			open.end = i.key
			items[open.key], open = *open, nil
		case strings.Trim(i.key, "\x00") != "": // nft ends what lies before all intervals
			strange++
		}
	}
	return items, strange
}

// sortSpans puts the end of one interval before the start of the next at the
// same key.
func sortSpans(elements []nft.SetElement) {
	slices.SortFunc(elements, func(a, b nft.SetElement) int {
		if c := bytes.Compare(a.Key, b.Key); c != 0 {
			return c
		}
		switch {
		case a.IntervalEnd == b.IntervalEnd:
			return 0
		case a.IntervalEnd:
			return -1
		}
		return 1
	})
}

// intern makes equal notes share their memory: one for each port otherwise.
func intern(notes map[string]string, s string) string {
	if known, ok := notes[s]; ok {
		return known
	}
	notes[s] = s
	return s
}

// gotoOf reads the chain from a verdict's attributes, "" if it leads to none.
func gotoOf(data []byte) string {
	ad, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return ""
	}
	ad.ByteOrder = binary.BigEndian
	kind, to := uint32(0), ""
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_VERDICT_CODE:
			kind = ad.Uint32()
		case unix.NFTA_VERDICT_CHAIN:
			to = ad.String()
		}
	}
	if ad.Err() != nil || int32(kind) != int32(expr.VerdictGoto) { //nolint:gosec // verdicts are negative numbers in 32 bits
		return ""
	}
	return to
}

func sorted(items map[string]item) []item {
	all := make([]item, 0, len(items))
	for _, i := range items {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b item) int { return cmp.Compare(a.key, b.key) })
	return all
}

// damaged says whether the table has to be made anew.
func (l listing) damaged() bool { return len(l.broken)+len(l.strange) > 0 || l.plain }
