package nftables

import (
	"encoding/binary"
	"slices"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// strictRows are the sets for policies with strict names.
type strictRows struct {
	// own leads containers with policies of their own to the chain that says what is read, net
	// the others by their bridge; read has the bridges with such containers.
	own, net, read row
}

func rowsOfStrict() strictRows {
	return strictRows{
		own:  row{name: "strict", perFamily: true, key: []field{iifname, saddr}, verdict: true},
		net:  row{name: "strict_network", perFamily: true, key: []field{iifname}, verdict: true},
		read: row{name: "read", key: []field{iifname}},
	}
}

func (r strictRows) list() []row { return []row{r.own, r.net, r.read} }

// unread is the chain of containers whose connections nobody reads, on a bridge with others.
const unread = "unread"

func strictChain(id string, h header) string { return "strict_" + id + "_" + h.name }

func unreadChain() chain { return regular(unread, rule(accepted())) }

// readingChain says which connections of a policy are read: those to what was learned of
// names. It returns for these, and accepts others.
func readingChain(h header, id string, named []config.Ports) chain {
	var rules [][]expr.Any
	for _, ports := range named {
		rules = append(rules, byName(h, idBytes(id), ports, true, func() []expr.Any { return verdict(expr.VerdictReturn) })...)
	}
	return regular(strictChain(id, h), append(rules, rule(accepted()))...)
}

// strictPart leads containers of a bridge to what says which of their connections are read.
func (p *policyPart) strictPart(all []bound) {
	n := rowsOfStrict()
	if !slices.ContainsFunc(all, func(b bound) bool { return b.reads }) {
		return
	}
	v, of := ofLink(all[0].Bridge), n.read.of(inet())
	putter(p.items.put).one(&of, &v, "")
	for _, b := range all {
		for _, h := range headers() {
			to := unread
			if b.reads {
				to = strictChain(b.id, h)
			}
			p.lead(b, h, n.own, n.net, item{data: to, note: noteOf(b)})
		}
	}
}

// readerPart leads connections to addresses of strict names to who reads them, at a port, and
// nobody else there; 0 for nowhere. It is there while somebody has a policy with strict names.
//
//	strict      prerouting -101  connections are redirected
//	reader      input filter-3   what else is sent to the port is dropped
//	not_read    forward filter-3 what was not redirected is refused
//
// Another way than this one, by which an answer tells the real address of who reads (TPROXY),
// was rejected: it needs routes and rules of the host.
func readerPart(port uint16) policyPart {
	if port == 0 {
		return policyPart{}
	}
	r, n := rowsOfPolicy(), rowsOfStrict()
	number := binary.BigEndian.AppendUint16(nil, port)
	var chains []chain
	var strict, reader [][]expr.Any
	notRead := knownFlows()
	for _, h := range headers() {
		tcp := rule(h.own(), meta(expr.MetaKeyL4PROTO, 1), is(unix.IPPROTO_TCP))
		chains = append(chains,
			regular("reads"+h.name, // it returns for what is read, and accepts the rest
				rule(port53(), accepted()), // a question
				rule(h.own(), r.home.notIn(h), accepted()),
				rule(local(), accepted()),
				rule(h.own(), r.home.in(h, daddr, iifname), accepted()),
				rule(h.own(), n.own.to(h)), rule(n.net.to(h)), rule(accepted())),
			regular("read"+h.name, rule(call("reads"+h.name)),
				[]expr.Any{&expr.Immediate{Register: 1, Data: number}, &expr.Redir{RegisterProtoMin: 1, RegisterProtoMax: 1, Flags: natToPort}}),
			regular("not_read"+h.name, rule(call("reads"+h.name)), refusing{option: policy.OptionEgress}.jump()))
		strict = append(strict, rule(tcp, n.read.in(inet()), jump("read"+h.name)))
		notRead = append(notRead, rule(tcp, n.read.in(inet()), jump("not_read"+h.name)))
		reader = append(reader, rule(tcp, payloadAt(expr.PayloadBaseTransportHeader, 2, 2, 1), is(number...), jump("reader")))
	}
	chains = append(chains, regular("reader",
		rule([]expr.Any{&expr.Ct{Key: expr.CtKeySTATUS, Register: 1}, masked(ctDestNAT, 0)}, is(word(0)...), verdict(expr.VerdictDrop)),
		rule(n.read.in(inet()), accepted()), rule(verdict(expr.VerdictDrop))))
	return policyPart{chains: append(chains,
		base("strict", nft.ChainTypeNAT, nft.ChainHookPrerouting, namesPriority, strict...),
		base("not_read", nft.ChainTypeFilter, nft.ChainHookForward, *nft.ChainPriorityFilter-3, notRead...),
		base("reader_in", nft.ChainTypeFilter, nft.ChainHookInput, *nft.ChainPriorityFilter-3, reader...))}
}
