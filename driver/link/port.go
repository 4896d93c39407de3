package link

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// attach makes the host end of a pair a port of the bridge.
func (h *Handle) attach(host, bridge netlink.Link) error {
	err := h.nl.LinkSetMaster(host, bridge)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EXFULL):
		return fmt.Errorf("attach veth %s: bridge %s holds 1023 ports, the kernel's limit (BR_MAX_PORTS); use another network: %w",
			host.Attrs().Name, bridge.Attrs().Name, err)
	}
	return fmt.Errorf("attach veth %s to bridge %s: %w", host.Attrs().Name, bridge.Attrs().Name, err)
}

// detach cuts the pair off from everything, if it is there. The host end goes down
// first: up and on no bridge, it would hand what comes in to the host itself.
func (h *Handle) detach(v spec.Veth) (fixed []string, err error) {
	host, err := h.find(v.Host)
	if err != nil || !owns(host, v.Host, v.EndpointID) {
		return nil, err
	}
	if host.Attrs().Flags&net.FlagUp != 0 {
		if err := h.nl.LinkSetDown(host); err != nil && !notFound(err) {
			return nil, fmt.Errorf("set veth %s down: %w", v.Host, err)
		}
		fixed = append(fixed, "veth "+v.Host+" of a container that left was up: set down")
	}
	if host.Attrs().MasterIndex != 0 {
		if err := h.nl.LinkSetNoMaster(host); err != nil && !notFound(err) {
			return fixed, fmt.Errorf("take veth %s off its bridge: %w", v.Host, err)
		}
		fixed = append(fixed, "veth "+v.Host+" of a container that left was on a bridge: taken off")
	}
	return fixed, nil
}

// portFlags are the settings of a bridge port that matter here. They are the
// kernel's IFLA_BRPORT attributes.
type portFlags struct{ hairpin, isolated, broadcast, multicast bool }

// each visits the flags with their attributes and what messages call them.
func (f *portFlags) each(visit func(attribute int, what string, is *bool)) {
	visit(nl.IFLA_BRPORT_MODE, "hairpin mode", &f.hairpin)
	visit(nl.IFLA_BRPORT_ISOLATED, "isolation from other ports", &f.isolated)
	visit(nl.IFLA_BRPORT_BCAST_FLOOD, "broadcast from other ports", &f.broadcast)
	visit(nl.IFLA_BRPORT_MCAST_FLOOD, "multicast from other ports", &f.multicast)
}

// portOf are the flags that the host end of a pair has to have.
//
// Hairpin mode is on: with br_netfilter, a container's packet to its own
// published port is translated on the bridge, and has to leave by the port
// that it came in by. A container that is kept from the others gets no broadcast
// and multicast of theirs; the bridge's own come in any case. The rest of that is
// the port filter's, not the kernel's isolation of ports: with br_netfilter a packet to
// a published port of the same network goes from port to port.
//
// On a further bridge nothing is translated, and what the host sends to everybody comes by a port as
// all else does. There the kernel's isolation of ports is right: only that port is none of
// those that are kept from each other.
func portOf(v spec.Veth) portFlags {
	if v.First != "" {
		return portFlags{isolated: v.Isolated, broadcast: true, multicast: true}
	}
	return portFlags{hairpin: true, broadcast: !v.Isolated, multicast: !v.Isolated}
}

// mendPort sets a port's flags in one step and says which were wrong.
func (h *Handle) mendPort(port netlink.Link, want portFlags) (fixed []string, err error) {
	name := port.Attrs().Name
	have, err := h.portFlags(port)
	if err != nil || have == want {
		return nil, err
	}
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	req.Sockets = h.raw
	msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
	msg.Index = int32(port.Attrs().Index)
	req.AddData(msg)
	flags := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
	was := map[string]bool{}
	have.each(func(_ int, what string, is *bool) { was[what] = *is })
	want.each(func(attribute int, what string, is *bool) {
		if was[what] == *is {
			return
		}
		value := []byte{0}
		if *is {
			value[0] = 1
		}
		flags.AddRtAttr(attribute, value)
		fixed = append(fixed, fmt.Sprintf("%s was %t: set to %t", what, was[what], *is))
	})
	req.AddData(flags)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return nil, fmt.Errorf("set the bridge port of veth %s (%s): %w", name, strings.Join(fixed, ", "), err)
	}
	return fixed, nil
}

// portFlags reads one port. LinkGetProtinfo would dump every link for it.
func (h *Handle) portFlags(port netlink.Link) (f portFlags, err error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	req.Sockets = h.raw
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(port.Attrs().Index)
	req.AddData(msg)
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err == nil && len(answers) > 0 {
		f, err = parsePort(answers[0])
	}
	return f, wrap(err, "read the bridge port of veth %s", port.Attrs().Name)
}

// parsePort reads the flags from an RTM_NEWLINK message. A link that is no port
// has none set.
func parsePort(m []byte) (f portFlags, err error) {
	data, err := nested(m, unix.SizeofIfInfomsg, unix.IFLA_LINKINFO, nl.IFLA_INFO_SLAVE_DATA)
	if err != nil {
		return f, err
	}
	err = attributes(data, 0, func(kind uint16, value []byte) {
		f.each(func(attribute int, _ string, is *bool) {
			if int(kind) == attribute {
				*is = len(value) > 0 && value[0] != 0
			}
		})
	})
	return f, err
}
