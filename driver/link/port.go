package link

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
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

// portFlags are the settings of a bridge port that matter here.
type portFlags struct{ hairpin, isolated bool }

// mendPort sets a port's flags and says which were wrong.
//
// Hairpin mode is on: with br_netfilter, a container's packet to its own
// published port is translated on the bridge, and has to leave by the port
// that it came in by. Ports that are to be isolated are so only where
// br_netfilter does not show the firewall what passes between them: where it
// does, the firewall drops that, and can tell a published port from the rest.
func (h *Handle) mendPort(port netlink.Link, isolated bool) (fixed []string, err error) {
	name := port.Attrs().Name
	want := portFlags{hairpin: true, isolated: isolated && !h.filtersBridged()}
	have, err := h.portFlags(port)
	if err != nil {
		return nil, err
	}
	if have.hairpin != want.hairpin {
		if err := h.nl.LinkSetHairpin(port, want.hairpin); err != nil {
			return nil, fmt.Errorf("set hairpin mode of veth %s: %w", name, err)
		}
		fixed = append(fixed, "hairpin mode was off: turned on")
	}
	if have.isolated != want.isolated {
		if err := h.nl.LinkSetIsolated(port, want.isolated); err != nil {
			return fixed, fmt.Errorf("set isolation of veth %s: %w", name, err)
		}
		fixed = append(fixed, fmt.Sprintf("isolation from other ports was %t: set to %t", have.isolated, want.isolated))
	}
	return fixed, nil
}

// filtersBridged says whether frames between two ports of a bridge pass by
// iptables, in both families.
func (h *Handle) filtersBridged() bool {
	for _, name := range []string{"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"} {
		if !h.sys.has(name) {
			return false
		}
		if v, err := h.sys.get(name); err != nil || v != "1" {
			return false
		}
	}
	return true
}

// portFlags reads one port. LinkGetProtinfo would dump every link for it.
func (h *Handle) portFlags(port netlink.Link) (f portFlags, err error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	req.Sockets = h.raw
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(port.Attrs().Index)
	req.AddData(msg)
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil || len(answers) == 0 {
		return f, wrap(err, "read the bridge port of veth %s", port.Attrs().Name)
	}
	data, header := answers[0], unix.SizeofIfInfomsg
	for _, nest := range []uint16{unix.IFLA_LINKINFO, nl.IFLA_INFO_SLAVE_DATA} {
		if data, err = attribute(data, header, nest); err != nil {
			return f, wrap(err, "read the bridge port of veth %s", port.Attrs().Name)
		}
		header = 0
	}
	for _, flag := range []struct {
		kind uint16
		is   *bool
	}{{nl.IFLA_BRPORT_MODE, &f.hairpin}, {nl.IFLA_BRPORT_ISOLATED, &f.isolated}} {
		value, err := attribute(data, 0, flag.kind)
		if err != nil {
			return f, wrap(err, "read the bridge port of veth %s", port.Attrs().Name)
		}
		*flag.is = len(value) > 0 && value[0] != 0
	}
	return f, nil
}

// attribute returns the value of one attribute behind a header, nil if it is
// not there.
func attribute(m []byte, header int, kind uint16) ([]byte, error) {
	attrs, err := attributes(m, header)
	if err != nil {
		return nil, err
	}
	for _, a := range attrs {
		if a.Attr.Type&nl.NLA_TYPE_MASK == kind {
			return a.Value, nil
		}
	}
	return nil, nil
}
