package watch

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// routeGroups are what links, addresses, forwarding, filters and routes are told by.
var routeGroups = []int{
	unix.RTNLGRP_LINK,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF,
	unix.RTNLGRP_TC,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
}

// links remembers which links carry gangway's mark, so that one that lost it,
// or a message that does not repeat it, is still known. It is used by one
// goroutine.
type links struct {
	known map[int32]marked // by index
	tree  *tree
	// minded is set by others.
	minded atomic.Pointer[minded]
}

// minded is what of the host is told of though it is not gangway's.
type minded struct {
	links map[string]bool
	addrs map[netip.Addr]bool
}

// marked is a link with gangway's mark; bridge says that it is one whose sysctls are
// gangway's too.
type marked struct {
	name   string
	bridge bool
}

func newLinks(t *tree) *links {
	l := &links{known: map[int32]marked{}, tree: t}
	l.minded.Store(&minded{})
	return l
}

// see takes a datagram and returns which links of gangway it is about, and whether it
// is about what is minded beside these.
func (l *links) see(b []byte) (about spec.Scope, other bool) {
	for kind, m := range messages(b) {
		other = other || l.minded.Load().about(kind, m)
		switch kind {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			l.link(&about, kind, m)
		case unix.RTM_NEWADDR, unix.RTM_DELADDR,
			unix.RTM_NEWQDISC, unix.RTM_DELQDISC, unix.RTM_NEWTFILTER, unix.RTM_DELTFILTER:
			l.index(&about, m)
		case unix.RTM_DELROUTE:
			l.route(&about, m)
		case unix.RTM_NEWNETCONF, unix.RTM_DELNETCONF:
			l.netconf(&about, m)
		}
	}
	return about, other
}

// about says whether a message is about what is minded. A link that gets another
// name is told by that one alone.
func (w *minded) about(kind uint16, m []byte) bool {
	switch kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(m) < unix.SizeofIfInfomsg {
			return false
		}
		now, _ := mark(m[unix.SizeofIfInfomsg:])
		return w.links[now.name]
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if len(m) < unix.SizeofIfAddrmsg {
			return false
		}
		for kind, v := range attributes(m[unix.SizeofIfAddrmsg:]) {
			if a, ok := netip.AddrFromSlice(v); ok && (kind == unix.IFA_LOCAL || kind == unix.IFA_ADDRESS) && w.addrs[a] {
				return true
			}
		}
	}
	return false
}

// index looks at a message about something of a link, whose number is the second
// word of struct ifaddrmsg as of struct tcmsg.
func (l *links) index(about *spec.Scope, m []byte) {
	if len(m) >= unix.SizeofIfAddrmsg {
		about.Add(l.known[int32(binary.NativeEndian.Uint32(m[4:]))].name)
	}
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
	if kind == unix.RTM_DELLINK {
		delete(l.known, index)
		l.tree.forget(index)
		return
	}
	now, ours := mark(m[unix.SizeofIfInfomsg:])
	if !known && !ours {
		return
	}
	about.Add(now.name)
	if ours && now != was {
		l.known[index] = now
		l.tree.forget(index)
		l.follow(index)
	}
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
	for kind, v := range attributes(attrs) {
		switch kind {
		case unix.IFLA_IFNAME:
			m.name = unix.ByteSliceToString(v)
		case unix.IFLA_IFALIAS:
			ours = ours || strings.HasPrefix(unix.ByteSliceToString(v), spec.OwnerAlias)
		case unix.IFLA_GROUP:
			m.bridge = len(v) >= 4 && binary.NativeEndian.Uint32(v) == spec.LinkGroup
		case unix.IFLA_PROP_LIST:
			for kind, v := range attributes(v) {
				loan := kind == unix.IFLA_ALT_IFNAME && strings.HasPrefix(unix.ByteSliceToString(v), "gangway-")
				ours = ours || loan
			}
		}
	}
	return m, ours || m.bridge
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
