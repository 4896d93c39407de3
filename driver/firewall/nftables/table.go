package nftables

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	nft "github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

// rows are the table of sets. Those that belong together stand in one file, with what
// rulesets put into them and the rules that look there. nft lists sets in this order.
func rows() []row {
	return slices.Concat(isolationRows(), gatewayRows(), countingRows(), sourceCheckRows(), snatRows(), openRows(), peerRows(), portRows(), translationRows())
}

// each calls put for every item of a ruleset, in no order that means anything.
func each(r firewall.Ruleset, put putter) {
	for _, of := range []func(firewall.Ruleset, putter){isolationElements, gatewayElements, sourceCheckElements, snatElements, openElements, peerElements, portElements, translationElements} {
		of(r, put)
	}
}

// row is a set or a map. From it come the types that the set declares, the bytes of
// keys and data, the registers that rules load, how elements are read, and the element
// that the probe tries.
type row struct {
	name string
	// perFamily says that each family has one, with 4 or 6 at the end of the name.
	perFamily bool
	// sixOnly says that IPv4 has none.
	sixOnly bool
	kind    setKind
	// key are the fields of the key, as rules load them from a packet.
	key []field
	// data are the fields of what a map leads to; verdict says that it leads to chains.
	data    []field
	verdict bool
	// counted says that each element counts the packets that are found in it.
	counted bool
}

// setKind says what to expect of a set's items: single keys, if nothing else.
type setKind int

const (
	_ setKind = iota
	// interval holds intervals of its last field, or in a concatenation of any. Alone it
	// is a span: the kernel keeps its start and the first key behind it as two elements.
	// In a concatenation it is one element.
	interval
	// counting sets hold what packets put there: nothing in them is gangway's, nor
	// damage.
	counting
	// timed sets hold elements that end by themselves, put there beside the state.
	timed
)

// set is a set or map of the table.
type set struct {
	nft.Set
	row
	// family is that of its addresses; none, if it is for both.
	family header
	// keys and leads are the fields with their places.
	keys, leads tuple
}

// span and concatenated say how the kernel keeps intervals.
func (s *set) span() bool         { return s.kind == interval && len(s.key) == 1 }
func (s *set) concatenated() bool { return s.kind == interval && len(s.key) > 1 }

// toInterval says that a map leads to the first and the last address of an interval.
func (r row) toInterval() bool {
	return len(r.data) == 2 && r.data[0].kind == address && r.data[1].kind == address
}

// of makes the set of a row.
func (r row) of(h header) set {
	s := set{row: r, family: h, keys: tupleOf(r.key, h.six()), leads: tupleOf(r.data, h.six())}
	s.Set = nft.Set{
		Name: r.name + h.name, Concatenation: len(r.key) > 1, Interval: r.kind == interval,
		IsMap: r.verdict || len(r.data) > 0, KeyType: s.keys.datatype(), DataType: s.leads.datatype(),
	}
	if r.verdict {
		s.DataType = nft.TypeVerdict
	}
	if r.toInterval() { // with withDataIntervals
		s.DataType = s.leads.types[0]
		s.DataType.Bytes *= 2
	}
	s.Counter = r.counted
	if s.KeyType.Name == nft.TypeIFName.Name {
		s.KeyByteOrder = binaryutil.NativeEndian
	}
	if r.kind == timed {
		s.HasTimeout, s.Size = true, timedMost
	}
	if r.kind == counting {
		s.Dynamic, s.HasTimeout, s.Timeout, s.Size = true, true, countedTime, countedMost
	}
	return s
}

const (
	// countedMost bounds the elements of a counting set, so that a flood of invented
	// addresses takes no more memory than that.
	countedMost = 1024
	// timedMost bounds those of a timed set. Who puts them there keeps to fewer.
	timedMost = 1 << 17
	// countedTime is how long after its last packet an element is forgotten. It is longer
	// than the time between two looks, so that nothing is lost.
	countedTime = 10 * time.Minute
)

// setsByName are all sets, made once; sets has them in order.
var setsByName = sync.OnceValue(func() map[string]*set {
	all := map[string]*set{}
	for _, s := range sets(table(tableName)) {
		all[s.Name] = &s
	}
	return all
})

// sets returns the definitions, in a table. Numbers are only to tell sets of
// one transaction apart; the library's own would come from a counter that all
// connections of the process share without a lock.
func sets(t *nft.Table) []set {
	var all []set
	for _, h := range slices.Concat([]header{inet()}, headers()) {
		for _, r := range rows() {
			if r.perFamily != (h.name != "") || r.sixOnly && !h.six() {
				continue
			}
			s := r.of(h)
			s.Table, s.ID = t, uint32(len(all)+1) //nolint:gosec // some twenty
			all = append(all, s)
		}
	}
	return all
}

// find returns the set of a row; h is without a name, if it is for both families.
func (h header) find(name string) *set {
	s := setsByName()[name+h.name]
	if s == nil {
		panic("no row for set " + name + h.name)
	}
	return s
}

// lookup loads the key of a packet and looks it up. The fields are those of the row, or
// others of the same kinds.
func (h header) lookup(name string, by []field, l expr.Lookup) []expr.Any {
	l.SourceRegister, l.SetName = 1, name+h.name
	return append(h.load(h.find(name).row, by), &l)
}

// load loads the key of a packet, for an element of the row's set.
func (h header) load(r row, by []field) []expr.Any {
	if len(by) == 0 {
		by = r.key
	}
	if !slices.EqualFunc(by, r.key, func(a, b field) bool { return a.kind == b.kind }) {
		panic("a rule loads other fields than those of set " + r.name)
	}
	var all []expr.Any
	keys := tupleOf(r.key, h.six())
	for i, f := range by {
		all = append(all, f.inRegister(h, keys.register(i))...)
	}
	return all
}

// in, notIn, valueOf and verdictOf load the key of a packet and look it up in a set.
func (h header) in(set string, by ...field) []expr.Any {
	return h.lookup(set, by, expr.Lookup{})
}

// inMirrored looks up what an answer answers.
func (h header) inMirrored(set string) []expr.Any {
	by := slices.Clone(h.find(set).key)
	for i := range by {
		by[i] = by[i].mirrored()
	}
	return h.in(set, by...)
}

func (h header) notIn(set string, by ...field) []expr.Any {
	return h.lookup(set, by, expr.Lookup{Invert: true})
}

// valueOf puts what the map leads to into register 1 and behind it.
func (h header) valueOf(set string) []expr.Any {
	return h.lookup(set, nil, expr.Lookup{DestRegister: 1, IsDestRegSet: true})
}

func (h header) verdictOf(set string, by ...field) []expr.Any {
	return h.lookup(set, by, expr.Lookup{DestRegister: unix.NFT_REG_VERDICT, IsDestRegSet: true})
}

// count adds the packet to the element of its key, and makes that if need be. Where the
// set is full, the rule ends.
func (h header) count(set string, by ...field) []expr.Any {
	return append(h.load(h.find(set).row, by), &expr.Dynset{
		SrcRegKey: 1, SetName: set + h.name, Operation: unix.NFT_DYNSET_OP_UPDATE, Exprs: []expr.Any{&expr.Counter{}},
	})
}

// dnat sends packets to where a map leads: an address and, if it has one, a port.
func (h header) dnat(set string) []expr.Any {
	to := &expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(h.proto)}
	s := h.find(set)
	for i, f := range s.data {
		switch r := s.leads.register(i); f.kind {
		case address:
			to.RegAddrMin, to.RegAddrMax = r, r
		case portNumber:
			to.RegProtoMin, to.RegProtoMax, to.Specified = r, r, true
		}
	}
	return append(h.valueOf(set), to)
}

// putter takes an element for a set.
type putter func(set string, i item)

// one puts a single key, or what it leads to.
func (put putter) one(set *set, v *values, note string) {
	i := item{key: set.keys.encode(v), note: note}
	if len(set.data) > 0 {
		i.data = set.leads.encode(v)
	}
	put(set.Name, i)
}

// between puts an interval, from first to last, of which both belong to it.
func (put putter) between(set *set, first, last *values, note string) {
	put(set.Name, set.interval(first, last, note))
}

func (s *set) interval(first, last *values, note string) item {
	i := item{key: s.keys.encode(first), end: s.keys.encode(last), note: note}
	if s.span() {
		i.end = following(i.end)
	}
	if len(s.data) > 0 {
		i.data = s.leads.encode(first)
	}
	return i
}

// subnet puts the addresses of a subnet, as those of the sender.
func (put putter) subnet(set *set, p netip.Prefix, v values, note string) {
	end := v
	v.addr[sender], end.addr[sender] = p.Masked().Addr(), last(p)
	put.between(set, &v, &end, note)
}

// portSets are a set of single ports, and one of intervals.
type portSets struct{ single, runs *set }

// ports puts a run of ports, on one side of the values: as an interval where the run is
// long, and one by one into the other set where it is not.
func (put putter) ports(to portSets, of side, v values, last uint16, note string) {
	first := int(v.port[of])
	if int(last)-first+1 >= longRun {
		end := v
		end.port[of] = last
		put.between(to.runs, &v, &end, note)
		return
	}
	for at := first; at <= int(last); at++ {
		v.port[of] = uint16(at) //nolint:gosec // up to a port
		put.one(to.single, &v, note)
	}
}

// following is the key behind another one; empty if there is none.
func following(key string) string {
	b := []byte(key)
	for n := len(b) - 1; n >= 0; n-- {
		if b[n]++; b[n] != 0 {
			return string(b)
		}
	}
	return ""
}

// sample has an element for each set that is gangway's to fill: what the probe tries.
func sample() contents {
	c := contents{}
	put := putter(c.put)
	for _, s := range sets(table(tableName)) {
		a := netip.AddrFrom4([4]byte{192, 0, 2, 1})
		if s.family.six() {
			a = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8})
		}
		v := values{link: [2]string{"gw-probe", "gw-other"}, addr: [3]netip.Addr{a, a, a}, port: [3]uint16{1, 1, 1}, proto: spec.TCP, family: unix.NFPROTO_IPV4}
		switch {
		case s.kind == counting:
		case s.kind == interval:
			put.between(&s, &v, &v, "probe")
		case s.verdict:
			c.put(s.Name, item{key: s.keys.encode(&v), data: chainPermit, note: "probe"})
		default:
			put.one(&s, &v, "probe")
		}
	}
	return c
}

// show is how nft writes an element.
func (s *set) show(i item) string {
	end := i.key
	switch {
	case s.span() && i.end != "":
		end = before(i.end) // it is the first key behind
	case s.span():
		end = strings.Repeat("\xff", len(i.key))
	case s.concatenated():
		end = i.end
	}
	first, last := s.keys.show(i.key), s.keys.show(end)
	for n := range first {
		if first[n] != last[n] {
			first[n] += "-" + last[n]
		}
	}
	text := strings.Join(first, " . ")
	if i.note != "" {
		text += fmt.Sprintf(" comment %q", i.note)
	}
	switch {
	case i.data == "":
	case s.verdict:
		text += " : goto " + i.data
	case s.toInterval():
		text += " : " + strings.Join(s.leads.show(i.data), "-")
	default:
		text += " : " + strings.Join(s.leads.show(i.data), " . ")
	}
	return text
}
