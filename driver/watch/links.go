package watch

import (
	"encoding/binary"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// routeGroups are what links, addresses, forwarding, filters, routes, rules of policy
// routing and entries of bridges are told by.
var routeGroups = []int{
	unix.RTNLGRP_LINK,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF,
	unix.RTNLGRP_TC,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
	unix.RTNLGRP_NEIGH,
}

// links remembers which links carry gangway's mark, so that one that lost it,
// or a message that does not repeat it, is still known. It is used by one
// goroutine.
type links struct {
	known map[int32]marked // by index
	// others are links that are none of gangway's, those that may lead outside.
	others map[int32]other
	tree   *tree
}

// other is what decides where a link leads, and what it takes: see link.Outside and
// link.UplinkMTU.
type other struct {
	name   string
	master int32
	mtu    uint32
	up     bool
}

// marked is a link with gangway's mark; bridge says that it is one whose sysctls are
// gangway's too, lent that it is somebody else's: it may lead outside.
type marked struct {
	name         string
	bridge, lent bool
}

func newLinks(t *tree) *links {
	return &links{known: map[int32]marked{}, others: map[int32]other{}, tree: t}
}

// see takes a datagram and returns which links of gangway it is about, or what leads
// outside.
func (l *links) see(b []byte) (about spec.Scope) {
	for kind, m := range messages(b) {
		switch kind {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			l.link(&about, kind, m)
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			l.index(&about, m)
			l.address(&about, m)
		case unix.RTM_NEWQDISC, unix.RTM_DELQDISC, unix.RTM_NEWTFILTER, unix.RTM_DELTFILTER:
			l.index(&about, m)
		case unix.RTM_NEWROUTE:
			about.Outside = about.Outside || isDefault(m) || isUnreachable(m)
		case unix.RTM_DELROUTE:
			about.Outside = about.Outside || isDefault(m) || isUnreachable(m)
			l.route(&about, m)
		case unix.RTM_NEWRULE, unix.RTM_DELRULE:
			about.Outside = true
			l.rule(&about, m)
		case unix.RTM_NEWNEIGH:
			l.entry(&about, m)
		case unix.RTM_NEWNETCONF, unix.RTM_DELNETCONF:
			l.netconf(&about, m)
		}
	}
	return about
}

// index looks at a message about something of a link, whose number is the second
// word of struct ifaddrmsg as of struct tcmsg.
func (l *links) index(about *spec.Scope, m []byte) {
	if len(m) >= unix.SizeofIfAddrmsg {
		about.Add(l.known[int32(binary.NativeEndian.Uint32(m[4:]))].name)
	}
}

// address looks whether a link of others comes to have, or loses, an address by which
// it may lead outside.
func (l *links) address(about *spec.Scope, m []byte) {
	if len(m) < unix.SizeofIfAddrmsg {
		return
	}
	scope, index := m[3], int32(binary.NativeEndian.Uint32(m[4:]))
	if known, ours := l.known[index]; (!ours || known.lent) && scope == unix.RT_SCOPE_UNIVERSE {
		about.Outside = true
	}
}

// entry looks at an address that a bridge knows for good: a port of others that is not gangway's may have come to have it,
// since who is behind that has claimed it.
func (l *links) entry(about *spec.Scope, m []byte) {
	const header, master = 12, 9 // struct ndmsg, NDA_MASTER
	if len(m) < header || !isStatic(m) {
		return
	}
	if _, ours := l.known[int32(binary.NativeEndian.Uint32(m[4:]))]; ours {
		return
	}
	for kind, v := range attributes(m[header:]) {
		if kind == master && len(v) >= 4 {
			about.Add(l.known[int32(binary.NativeEndian.Uint32(v))].name)
		}
	}
}

// isStatic says whether a neighbour is of a bridge, and stays as long as its port.
func isStatic(m []byte) bool {
	return m[0] == unix.AF_BRIDGE && binary.NativeEndian.Uint16(m[8:]) == netlink.NUD_NOARP
}

// isDefault says whether a route is a default route, or the half that a VPN makes of
// one.
func isDefault(m []byte) bool { return len(m) >= unix.SizeofRtMsg && m[1] <= 1 }

// isUnreachable says whether a route refuses, as that of a delegated prefix does.
func isUnreachable(m []byte) bool {
	return len(m) >= unix.SizeofRtMsg && m[0] == unix.AF_INET6 && m[7] == unix.RTN_UNREACHABLE
}

// route looks at a route that is gone, which names its link.
func (l *links) route(about *spec.Scope, m []byte) {
	if len(m) < unix.SizeofRtMsg {
		return
	}
	for kind, v := range attributes(m[unix.SizeofRtMsg:]) {
		if kind == unix.RTA_OIF && len(v) >= 4 {
			about.Add(l.known[int32(binary.NativeEndian.Uint32(v))].name)
		}
	}
}

// rule looks at a rule of policy routing, which may name the link that packets come by.
func (l *links) rule(about *spec.Scope, m []byte) {
	if len(m) < unix.SizeofRtMsg {
		return
	}
	for kind, v := range attributes(m[unix.SizeofRtMsg:]) {
		if kind != fraIIFName {
			continue
		}
		name := unix.ByteSliceToString(v)
		for _, known := range l.known {
			if known.name == name {
				about.Add(name)
			}
		}
	}
}

// fraIIFName is FRA_IIFNAME of linux/fib_rules.h.
const fraIIFName = 3

// link follows a link. A message of the bridge family is about its port alone
// and carries no mark. One that is renamed is told by both names.
func (l *links) link(about *spec.Scope, kind uint16, m []byte) {
	if len(m) < unix.SizeofIfInfomsg {
		return
	}
	family, index := m[0], int32(binary.NativeEndian.Uint32(m[4:]))
	was, known := l.known[index]
	about.Add(was.name)
	if family != unix.AF_UNSPEC {
		return
	}
	now, ours := mark(m[unix.SizeofIfInfomsg:])
	if !known && !ours || was.lent || now.lent {
		l.foreign(about, kind, index, m)
	}
	if !known && !ours {
		return
	}
	if kind == unix.RTM_DELLINK {
		delete(l.known, index)
		l.tree.forget(index)
		return
	}
	about.Add(now.name)
	if ours && now != was {
		l.known[index] = now
		l.tree.forget(index)
		l.follow(index)
	}
}

// foreign follows a link of others. The ends of containers come and go all the time;
// where one leads outside, it has an address, which is told as well.
func (l *links) foreign(about *spec.Scope, kind uint16, index int32, m []byte) {
	was, known := l.others[index]
	if kind == unix.RTM_DELLINK {
		delete(l.others, index)
		about.Outside = about.Outside || known
		return
	}
	now, veth := otherOf(m[unix.SizeofIfInfomsg:])
	now.up = binary.NativeEndian.Uint32(m[8:])&unix.IFF_UP != 0 // ifi_flags
	if veth || known && now == was {
		return
	}
	l.others[index] = now
	about.Outside = true
}

// otherOf reads what decides where a link leads.
func otherOf(attrs []byte) (o other, veth bool) {
	for kind, v := range attributes(attrs) {
		switch kind {
		case unix.IFLA_IFNAME:
			o.name = unix.ByteSliceToString(v)
		case unix.IFLA_MASTER:
			if len(v) >= 4 {
				o.master = int32(binary.NativeEndian.Uint32(v))
			}
		case unix.IFLA_MTU:
			if len(v) >= 4 {
				o.mtu = binary.NativeEndian.Uint32(v)
			}
		case unix.IFLA_LINKINFO:
			for kind, v := range attributes(v) {
				veth = veth || kind == unix.IFLA_INFO_KIND && unix.ByteSliceToString(v) == "veth"
			}
		}
	}
	return o, veth
}

// follow watches the sysctls of a bridge, as far as they are there. The kernel tells
// of another name before they have it, and of forwarding with the new name then.
func (l *links) follow(index int32) {
	if m := l.known[index]; m.bridge {
		l.tree.follow(index, m.name)
	}
}

// mark reads a link's name and whether gangway made or uses it: an alias on
// what it made, the interface group on its bridges, and alternative names on
// bridges of others (see package link).
func mark(attrs []byte) (m marked, ours bool) {
	alias := false
	for kind, v := range attributes(attrs) {
		switch kind {
		case unix.IFLA_IFNAME:
			m.name = unix.ByteSliceToString(v)
		case unix.IFLA_IFALIAS:
			alias = strings.HasPrefix(unix.ByteSliceToString(v), spec.OwnerAlias)
		case unix.IFLA_GROUP:
			m.bridge = len(v) >= 4 && binary.NativeEndian.Uint32(v) == spec.LinkGroup
		case unix.IFLA_PROP_LIST:
			for kind, v := range attributes(v) {
				loan := kind == unix.IFLA_ALT_IFNAME && strings.HasPrefix(unix.ByteSliceToString(v), "gangway-")
				m.lent = m.lent || loan
			}
		}
	}
	ours = alias || m.bridge || m.lent
	m.lent = m.lent && !alias && !m.bridge
	return m, ours
}

// netconf looks at a change of forwarding. A negative index stands for all
// links, and for those to come.
func (l *links) netconf(about *spec.Scope, m []byte) {
	const header, ifindex = 4, 1 // struct netconfmsg, NETCONFA_IFINDEX
	if len(m) < header {
		return
	}
	for kind, v := range attributes(m[header:]) {
		if kind != ifindex || len(v) < 4 {
			continue
		}
		index := int32(binary.NativeEndian.Uint32(v))
		about.Add(l.known[index].name)
		about.All = about.All || index < 0
		l.follow(index)
	}
}
