package watch

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// routeGroups are what links, addresses, forwarding and filters are told by.
var routeGroups = []int{
	unix.RTNLGRP_LINK,
	unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_NETCONF, unix.RTNLGRP_IPV6_NETCONF,
	unix.RTNLGRP_TC,
}

// links remembers which links carry gangway's mark, so that one that lost it,
// or a message that does not repeat it, is still known. It is used by one
// goroutine.
type links struct {
	known map[int32]string // names, by index
	tree  *tree
}

func newLinks(t *tree) *links { return &links{known: map[int32]string{}, tree: t} }

// see takes a datagram and says whether it is about a link of gangway.
func (l *links) see(b []byte) bool {
	ours := false
	for kind, m := range messages(b) {
		switch kind {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			ours = l.link(kind, m) || ours
		case unix.RTM_NEWADDR, unix.RTM_DELADDR,
			unix.RTM_NEWQDISC, unix.RTM_DELQDISC, unix.RTM_NEWTFILTER, unix.RTM_DELTFILTER:
			ours = l.index(m) || ours
		case unix.RTM_NEWNETCONF, unix.RTM_DELNETCONF:
			ours = l.netconf(m) || ours
		}
	}
	return ours
}

// index looks at a message about something of a link, whose number is the second
// word of struct ifaddrmsg as of struct tcmsg.
func (l *links) index(m []byte) bool {
	if len(m) < unix.SizeofIfAddrmsg {
		return false
	}
	_, known := l.known[int32(binary.NativeEndian.Uint32(m[4:]))]
	return known
}

// link follows a link. A message of the bridge family is about its port alone
// and carries no mark.
func (l *links) link(kind uint16, m []byte) bool {
	if len(m) < unix.SizeofIfInfomsg {
		return false
	}
	family, index := m[0], int32(binary.NativeEndian.Uint32(m[4:]))
	name, known := l.known[index]
	switch {
	case family != unix.AF_UNSPEC:
	case kind == unix.RTM_DELLINK:
		delete(l.known, index)
		l.tree.forget(index)
	default:
		now, bridge, ours := mark(m[unix.SizeofIfInfomsg:])
		if ours && now != name {
			l.known[index] = now
			l.tree.forget(index)
			if bridge {
				l.tree.follow(index, now)
			}
		}
		known = known || ours
	}
	return known
}

// mark reads a link's name and whether gangway made or uses it: an alias on
// what it made, the interface group on its bridges, and alternative names on
// bridges of others (see package link).
func mark(attrs []byte) (name string, bridge, ours bool) {
	for kind, v := range attributes(attrs) {
		switch kind {
		case unix.IFLA_IFNAME:
			name = unix.ByteSliceToString(v)
		case unix.IFLA_IFALIAS:
			ours = ours || strings.HasPrefix(unix.ByteSliceToString(v), spec.OwnerAlias)
		case unix.IFLA_GROUP:
			bridge = len(v) >= 4 && binary.NativeEndian.Uint32(v) == spec.LinkGroup
		case unix.IFLA_PROP_LIST:
			for kind, v := range attributes(v) {
				loan := kind == unix.IFLA_ALT_IFNAME && strings.HasPrefix(unix.ByteSliceToString(v), "gangway-")
				ours = ours || loan
			}
		}
	}
	return name, bridge, ours || bridge
}

// netconf looks at a change of forwarding. A negative index stands for all
// links, and for those to come.
func (l *links) netconf(m []byte) bool {
	const header, ifindex = 4, 1 // struct netconfmsg, NETCONFA_IFINDEX
	if len(m) < header {
		return false
	}
	for kind, v := range attributes(m[header:]) {
		if kind == ifindex && len(v) >= 4 {
			index := int32(binary.NativeEndian.Uint32(v))
			_, known := l.known[index]
			return known || index < 0
		}
	}
	return false
}
