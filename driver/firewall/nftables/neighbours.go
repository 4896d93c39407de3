package nftables

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
)

// limitName is the name of the tables of a NeighbourLimit, in the families arp and ip6.
const limitName = tableName + "-neighbour-limit"

// What one sender's messages are bounded to. A program that talks to a neighbour asks
// for it once in half a minute, and one that looks for everybody in its network asks for
// some hundred a second.
const (
	limitRate  = 100 // a second
	limitBurst = 200
	// limitSenders is how many senders are told apart, and limitTime how long one is
	// remembered that sends nothing. What comes beyond is not bounded.
	limitSenders = 8192
	limitTime    = 10 * time.Second
)

// arpIn is NF_ARP_IN of linux/netfilter_arp.h.
const arpIn nft.ChainHook = 0

// NeighbourLimit is the rate limit of ARP and neighbour discovery: it bounds how many
// messages by which neighbours find each other (ARP, and neighbour discovery of IPv6) the
// host takes of one sender, which is a hardware address on a bridge of gangway. The filter
// of what containers send decides what they may say of themselves, and has no memory to
// decide how often.
//
//	arp  input  filter    ARP only: no other packet comes there
//	ip6  input  raw       what is for the host by IPv6, none that is forwarded
//
// Nothing that the host passes on from link to link or from port to port meets these
// rules; what comes to itself by IPv6 meets one comparison (BenchmarkNeighbourLimitOthers:
// within what can be measured). The rejected places: the rules that all packets of bridges
// meet, as each would cost them one more question; a policer in tc, behind the filter, for
// the same reason.
//
// Its tables are its connections' (flag owner), as the fail-closed table is, and go with
// them. A kernel that cannot do that bounds nothing.
//
// All calls have to come on threads of one network namespace. It is safe for
// concurrent use.
type NeighbourLimit struct {
	log    *logrus.Entry
	mu     sync.Mutex
	tables []*limitTable
}

// limitTable is the table of one family.
type limitTable struct {
	log  *logrus.Entry
	wire wire
	six  bool
	// known says that held does: whether there is a table of this process.
	known, held bool
}

// NewNeighbourLimit tries what the kernel can do, without leaving anything there. What it
// cannot is told to the log.
func NewNeighbourLimit(log *logrus.Entry) *NeighbourLimit {
	p := &NeighbourLimit{log: log}
	for _, six := range []bool{false, true} {
		t := &limitTable{log: log, wire: wire{family: unix.NFPROTO_ARP}, six: six}
		if six {
			t.wire.family = unix.NFPROTO_IPV6
		}
		if err := t.try(flagOwner); err != nil {
			t.wire.close()
			log.WithError(err).Infof("firewall: how often containers ask the host for neighbours is not bounded (table %s)", t)
			continue
		}
		p.tables = append(p.tables, t)
	}
	return p
}

// NeighbourFamilies returns the families in which networks have neighbours.
func NeighbourFamilies(networks map[string]firewall.Network) firewall.Families {
	f := firewall.Families{V4: len(networks) > 0}
	for _, n := range networks {
		for _, s := range n.Subnets {
			f.V6 = f.V6 || s.Addr().Is6()
		}
	}
	return f
}

// Sync makes the tables of these families, and removes the others; it returns one line
// for each repair. One that is there is not looked at: nobody else can change it. What a
// file brings by a former name is removed.
func (p *NeighbourLimit) Sync(ctx context.Context, want firewall.Families) (repaired []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []error
	for _, t := range p.tables {
		lines, err := t.sync(ctx, want.Has(t.six))
		if err != nil {
			all = append(all, fmt.Errorf("write table %s: %w", t, explain(err)))
		}
		repaired = append(repaired, lines...)
	}
	return repaired, errors.Join(all...)
}

// Close ends the connections, and with them the tables.
func (p *NeighbourLimit) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tables {
		t.wire.close()
		t.known = false
	}
}

// String names the table as nft does.
func (t *limitTable) String() string { return t.family() + " " + limitName }

func (t *limitTable) family() string {
	if t.six {
		return "ip6"
	}
	return "arp"
}

// try puts the table with these flags into the kernel and removes it in the same
// transaction.
func (t *limitTable) try(flags uint32) error {
	if _, err := t.wire.open(); err != nil {
		return err
	}
	const name = limitName + "-probe"
	return t.wire.commit(name, flags, func(c *nft.Conn) error {
		defer c.DelTable(t.table(name))
		return t.write(c, t.table(name))
	})
}

func (t *limitTable) table(name string) *nft.Table {
	return &nft.Table{Name: name, Family: nft.TableFamily(t.wire.family)}
}

// sync makes the table or removes it, and says what it repaired.
func (t *limitTable) sync(ctx context.Context, on bool) (repaired []string, err error) {
	fresh, err := t.wire.open()
	if err != nil {
		return nil, err
	}
	old, err := t.wire.former(ctx, limitName, on)
	if err != nil {
		return nil, err
	}
	lost := t.known && t.held && fresh // it went with its connection
	if t.known && t.held == on && !lost && len(old) == 0 {
		return nil, nil
	}
	is, err := t.find(ctx, on)
	if err != nil {
		return nil, err
	}
	t.known, t.held = true, false
	gone, repaired := making(t.family(), limitName, is, old)
	if !on && len(gone) == 0 {
		return nil, nil
	}
	if lost && on && !is.exists {
		repaired = append(repaired, fmt.Sprintf("table %s was missing", t))
	}
	return repaired, t.replace(gone, on)
}

// replace removes tables, and makes today's if it is on.
func (t *limitTable) replace(gone []string, on bool) error {
	script := ""
	for _, name := range gone {
		script += fmt.Sprintf("delete table %s %s\n", t.family(), name)
	}
	if on {
		script += fmt.Sprintf("add table %s\n", t)
	}
	t.log.Debugf("nft -f -\n%s", script) // the rules are always the same
	err := t.wire.commit(limitName, flagOwner, func(c *nft.Conn) error {
		for _, name := range gone {
			c.DelTable(t.table(name))
		}
		if !on {
			return nil
		}
		return t.write(c, t.table(limitName))
	})
	t.known, t.held = err == nil, on
	return err
}

// find returns the state of the table; if there is to be one, when no process that ends
// owns it any more.
func (t *limitTable) find(ctx context.Context, on bool) (state, error) {
	if on {
		return t.wire.claim(ctx, limitName)
	}
	return t.wire.look(limitName)
}

// write collects what makes the table.
func (t *limitTable) write(c *nft.Conn, in *nft.Table) error {
	c.AddTable(in)
	layout := row{name: "senders", key: []field{iif, ether}, kind: counting}
	senders := layout.of(inet())
	senders.Table, senders.ID, senders.Timeout, senders.Size = in, 1, limitTime, limitSenders
	if err := c.AddSet(&senders.Set, nil); err != nil {
		return fmt.Errorf("set %s: %w", senders.Name, err)
	}
	hook, priority, accept := nft.ChainHookRef(arpIn), *nft.ChainPriorityFilter, nft.ChainPolicyAccept
	about := ifGroup(expr.MetaKeyIIFGROUP)
	from := ether.loadedBy(func(register uint32) []expr.Any {
		return payloadAt(expr.PayloadBaseNetworkHeader, 8, 6, register) // arp saddr ether
	})
	if t.six {
		hook, priority = nft.ChainHookInput, *nft.ChainPriorityRaw
		// From router solicitation to redirect, RFC 4861.
		about = rule(about, meta(expr.MetaKeyL4PROTO, 1), is(unix.IPPROTO_ICMPV6), payloadAt(expr.PayloadBaseTransportHeader, 0, 1, 1),
			[]expr.Any{&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{133}, ToData: []byte{137}}})
		from = ether.loadedBy(func(register uint32) []expr.Any {
			return payloadAt(expr.PayloadBaseLLHeader, 6, 6, register) // ether saddr
		})
	}
	chain := c.AddChain(&nft.Chain{Name: "input", Table: in, Type: nft.ChainTypeFilter, Hooknum: hook, Priority: &priority, Policy: &accept})
	c.AddRule(&nft.Rule{Table: in, Chain: chain, Exprs: rule(about, inet().load(layout, []field{iif, from}),
		[]expr.Any{&expr.Dynset{
			SrcRegKey: 1, SetID: senders.ID, SetName: senders.Name, Operation: unix.NFT_DYNSET_OP_UPDATE,
			Exprs: []expr.Any{&expr.Limit{Type: expr.LimitTypePkts, Rate: limitRate, Unit: expr.LimitTimeSecond, Burst: limitBurst, Over: true}},
		}}, verdict(expr.VerdictDrop))})
	return nil
}
