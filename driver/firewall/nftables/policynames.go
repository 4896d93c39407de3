package nftables

import (
	"encoding/binary"
	"slices"
	"time"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/spec"
)

// nameRows are the sets for policies with names.
type nameRows struct {
	// asks are containers whose questions the resolver answers, by their own policies,
	// others those of whom it answers none, asksNet the bridges of the rest.
	asks, others, asksNet row
	// named is what a container has learned: where it may send, and for which ports;
	// namedAll what all may who have a policy. recalled and recalledAll are the same for
	// longer, and no rule looks there: by them flows are believed that began before.
	named, namedAll, recalled, recalledAll row
	// questions bounds how many a container asks.
	questions row
}

func rowsOfNames() nameRows {
	ports := []field{l4proto, sport, dport}                                                      // the protocol, the first port and the last one
	one, all := append([]field{saddr, daddr}, ports...), append([]field{ether, daddr}, ports...) // six bytes are a policy's id
	set := func(name string, key ...field) row { return row{name: name, perFamily: true, key: key} }
	learned := func(name string, key []field) row {
		return row{name: name, perFamily: true, key: key, kind: timed}
	}
	return nameRows{
		asks: set("asks", iifname, saddr), others: set("asks_others", iifname, saddr), asksNet: row{name: "asks_network", key: []field{iifname}},
		named: learned("named", one), namedAll: learned("named_all", all), recalled: learned("recalled", one), recalledAll: learned("recalled_all", all),
		questions: row{name: "questions", perFamily: true, key: []field{iifname, saddr}, kind: counting},
	}
}

func (r nameRows) list() []row {
	return []row{r.asks, r.others, r.asksNet, r.named, r.namedAll, r.recalled, r.recalledAll, r.questions}
}

// What a container may ask: a second, and at once. A machine that installs packages asks some
// ten names a second.
const (
	questionRate  = 200
	questionBurst = 400
)

// natToPort is NF_NAT_RANGE_PROTO_SPECIFIED, which newer kernels add by themselves.
const natToPort = 1 << 1

// namesPriority is before published ports: whoever has published port 53 gets no question of
// a container whose policy has names.
const namesPriority = -101

// questionChains are those by which rules tell questions that the resolver answers: what is
// sent to port 53 of anybody but the network's own containers. What of these is to be passed
// on has not been translated, and is refused.
func questionChains() (all []chain) {
	r, n := rowsOfPolicy(), rowsOfNames()
	var passedOn [][]expr.Any
	for _, h := range headers() {
		ask := func(end []expr.Any) [][]expr.Any {
			return [][]expr.Any{
				rule(h.own(), n.asks.in(h), end),
				rule(h.own(), n.others.in(h), verdict(expr.VerdictReturn)),
				rule(n.asksNet.in(inet()), end),
			}
		}
		all = append(all,
			regular("question"+h.name, ask(accepted())...),
			regular("asks"+h.name, toDNS(call("question"+h.name))...),
			regular("passed_on"+h.name, append([][]expr.Any{
				rule(h.own(), r.home.notIn(h), verdict(expr.VerdictReturn)),
				rule(h.own(), r.home.in(h, daddr, iifname), verdict(expr.VerdictReturn)),
			}, ask(refusing{option: policy.OptionEgress}.jump())...)...))
		for _, asked := range toDNS(jump("passed_on" + h.name)) {
			passedOn = append(passedOn, rule(h.own(), asked))
		}
	}
	return append(all, regular("passed_on", passedOn...))
}

// port53 matches packets to that port whatever their protocol: one comparison for what asks
// nothing. Behind it is toDNS.
func port53() []expr.Any {
	return rule(payloadAt(expr.PayloadBaseTransportHeader, 2, 2, 1), is(0, 53))
}

// toDNS matches questions of a protocol, and leads them somewhere.
func toDNS(to []expr.Any) (rules [][]expr.Any) {
	for _, proto := range []spec.Protocol{spec.UDP, spec.TCP} {
		rules = append(rules, rule(meta(expr.MetaKeyL4PROTO, 1), is(byte(proto)), port53(), to))
	}
	return rules
}

// resolverPart is what leads questions to the resolver at a port, and nobody else there; 0 for
// none.
//
//	names     prerouting -101  questions are redirected
//	resolver  input filter-3   what else is sent to its port is dropped, as are too many
func resolverPart(port uint16) policyPart {
	if port == 0 {
		return policyPart{}
	}
	r, n := rowsOfPolicy(), rowsOfNames()
	number := binary.BigEndian.AppendUint16(nil, port)
	redirect := []expr.Any{&expr.Immediate{Register: 1, Data: number}, &expr.Redir{RegisterProtoMin: 1, RegisterProtoMax: 1, Flags: natToPort}}
	leave, drop := verdict(expr.VerdictReturn), verdict(expr.VerdictDrop)
	var chains []chain
	var names, resolver [][]expr.Any
	for _, h := range headers() {
		from := func(end []expr.Any, others []expr.Any) [][]expr.Any {
			return [][]expr.Any{rule(h.own(), n.asks.in(h), end), rule(h.own(), n.others.in(h), others), rule(n.asksNet.in(inet()), end)}
		}
		chains = append(chains,
			regular("redirect"+h.name, from(redirect, leave)...),
			regular("redirected"+h.name,
				rule(h.own(), r.home.notIn(h), leave),
				rule(local(), jump("redirect"+h.name)),
				rule(h.own(), r.home.in(h, daddr, iifname), leave),
				rule(jump("redirect"+h.name))),
			regular("resolver"+h.name, append([][]expr.Any{
				rule([]expr.Any{&expr.Ct{Key: expr.CtKeySTATUS, Register: 1}, masked(ctDestNAT, 0)}, is(word(0)...), drop),
				rule(h.own(), meta(expr.MetaKeyL4PROTO, 1), is(unix.IPPROTO_UDP), h.load(n.questions, nil), []expr.Any{&expr.Dynset{
					SrcRegKey: 1, SetName: n.questions.nameOf(h), Operation: unix.NFT_DYNSET_OP_UPDATE,
					Exprs: []expr.Any{&expr.Limit{Type: expr.LimitTypePkts, Rate: questionRate, Over: true, Unit: expr.LimitTimeSecond, Burst: questionBurst}},
				}}, drop),
			}, append(from(accepted(), drop), drop)...)...))
		for _, to := range toDNS(jump("redirected" + h.name)) {
			names = append(names, rule(h.own(), to))
		}
		for _, proto := range []spec.Protocol{spec.UDP, spec.TCP} {
			resolver = append(resolver, rule(h.own(), meta(expr.MetaKeyL4PROTO, 1), is(byte(proto)),
				payloadAt(expr.PayloadBaseTransportHeader, 2, 2, 1), is(number...), jump("resolver"+h.name)))
		}
	}
	return policyPart{chains: append(chains,
		base("names", nft.ChainTypeNAT, nft.ChainHookPrerouting, namesPriority, names...),
		base("resolver", nft.ChainTypeFilter, nft.ChainHookInput, *nft.ChainPriorityFilter-3, resolver...))}
}

// byName are the rules of a policy for packets to what was learned of names, for ports. Strict
// names open TCP alone.
func byName(h header, id []byte, ports config.Ports, strict bool, end func() []expr.Any) (rules [][]expr.Any) {
	n := rowsOfNames()
	protos := []uint8{ports.Proto}
	switch {
	case strict:
		protos = []uint8{unix.IPPROTO_TCP}
	case ports.Proto == 0:
		protos = nil
		for _, p := range protocols() {
			protos = append(protos, byte(p))
		}
	}
	data := func(f field, b ...byte) field {
		return f.loadedBy(func(register uint32) []expr.Any { return []expr.Any{&expr.Immediate{Register: register, Data: b}} })
	}
	number := func(f field, n uint16) field { return data(f, binary.BigEndian.AppendUint16(nil, n)...) }
	tail := []field{data(l4proto, ports.Proto), number(sport, ports.First), number(dport, ports.Last)}
	one := append([]field{saddr, daddr}, tail...)
	all := append([]field{data(ether, id...), daddr}, tail...)
	var matches [][]expr.Any
	switch {
	case ports.All() && !strict:
		matches = [][]expr.Any{nil}
	default:
		for _, p := range protos {
			match := rule(meta(expr.MetaKeyL4PROTO, 1), is(p))
			if ports.First != 0 {
				match = append(match, payloadAt(expr.PayloadBaseTransportHeader, 2, 2, 1)...)
				match = append(match, &expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: binary.BigEndian.AppendUint16(nil, ports.First), ToData: binary.BigEndian.AppendUint16(nil, ports.Last)})
			}
			matches = append(matches, match)
		}
	}
	for _, m := range matches {
		rules = append(rules, rule(m, h.own(), n.named.in(h, one...), end()), rule(m, h.own(), n.namedAll.in(h, all...), end()))
	}
	return rules
}

// portsByName are those for which a rule of byName lets packets pass: the last three numbers
// that it looks up.
func portsByName(rule []expr.Any) (ports config.Ports, is bool) {
	n := rowsOfNames()
	var numbers [][]byte
	for _, x := range rule {
		switch x := x.(type) {
		case *expr.Immediate:
			numbers = append(numbers, x.Data)
		case *expr.Lookup:
			for _, h := range headers() {
				is = is || x.SetName == n.named.nameOf(h) || x.SetName == n.namedAll.nameOf(h)
			}
		}
	}
	if !is || len(numbers) < 3 {
		return config.Ports{}, false
	}
	end := numbers[len(numbers)-3:]
	return config.Ports{Proto: end[0][0], First: binary.BigEndian.Uint16(end[1]), Last: binary.BigEndian.Uint16(end[2])}, true
}

// element is what was learned, for one of the rows of one container or of all; id is what names
// a policy.
func element(l policy.Learned, id func(config.Policy) string, one, all row) (*set, nft.SetElement) {
	h := headerOf(l.To)
	v := values{proto: spec.Protocol(l.Ports.Proto)}
	v.addr[sender], v.addr[receiver] = l.Addr, l.To
	v.port[sender], v.port[receiver] = l.Ports.First, l.Ports.Last
	of := one.of(h)
	if !l.Addr.IsValid() {
		of = all.of(h)
		v.ether = [6]byte(idBytes(id(l.Policy)))
	}
	left := max(time.Until(l.Until).Truncate(time.Millisecond), time.Millisecond)
	return &of, nft.SetElement{Key: []byte(of.keys.encode(&v)), Timeout: left, Comment: l.Name}
}

// asksPart tells the containers whose questions the resolver answers.
func (p *policyPart) asksPart(all []bound) {
	n := rowsOfNames()
	put := putter(p.items.put)
	if !slices.ContainsFunc(all, func(b bound) bool { return b.asks }) {
		return
	}
	for _, b := range all {
		v, asks := ofLink(b.Bridge), b.asks
		switch {
		case b.EndpointID != "":
			to := n.others
			if asks {
				to = n.asks
			}
			for _, a := range b.Addrs {
				v.addr[sender] = a
				of := to.of(headerOf(a))
				put.one(&of, &v, noteOf(b))
			}
		case asks:
			of := n.asksNet.of(inet())
			put.one(&of, &v, noteOf(b))
		}
	}
}
