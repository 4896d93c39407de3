package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// Of linux/fib_rules.h.
const (
	actionLookup = 1 // FR_ACT_TO_TBL
	actionNop    = 3 // FR_ACT_NOP
	actionRefuse = 6 // FR_ACT_BLACKHOLE, and behind it UNREACHABLE and PROHIBIT
)

// RoutingRules returns the rules of policy routing of a family in the kernel's order.
// Left out are those that are about no forwarded packet without a mark, those of VRFs,
// which are about the links of these, and the kernel's first one, for addresses of the
// host. A kernel without policy routing has none.
//
// netlink's list lacks what a rule does to packets, and which rules are those of VRFs.
func (h *Handle) RoutingRules(ctx context.Context, six bool) ([]spec.RoutingRule, error) {
	family := uint8(unix.AF_INET)
	if six {
		family = unix.AF_INET6
	}
	return dump(ctx, "rules of policy routing", func() ([]spec.RoutingRule, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP)
		req.Sockets = h.raw
		req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: family}}) // struct fib_rule_hdr is laid out alike
		answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWRULE)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP) {
			return nil, nil
		}
		var rules []spec.RoutingRule
		for _, m := range answers {
			r, about, parseErr := parseRule(m)
			if parseErr != nil {
				return nil, parseErr
			}
			if about {
				rules = append(rules, r)
			}
		}
		return rules, err
	})
}

// parseRule reads a rule; about is false for one that is left out.
func parseRule(m []byte) (r spec.RoutingRule, about bool, err error) {
	if len(m) < unix.SizeofRtMsg {
		return r, false, fmt.Errorf("a rule of policy routing has %d bytes, fewer than %d", len(m), unix.SizeofRtMsg)
	}
	header := nl.DeserializeRtMsg(m)
	r.Not = header.Flags&netlink.FibRuleInvert != 0
	r.Refuses = header.Type >= actionRefuse
	s := selectors{never: header.Tos != 0, mask: math.MaxUint32}
	if err = attributes(m, unix.SizeofRtMsg, func(kind uint16, v []byte) { s.read(&r, header, kind, v) }); err != nil {
		return r, false, fmt.Errorf("read a rule of policy routing: %w", err)
	}
	if header.Type != actionLookup {
		r.Table = 0
	}
	if s.never || s.mark&s.mask != 0 {
		if !r.Not {
			return r, false, nil
		}
		// It is about every packet that is not what none is here.
		r.Not, r.From, r.To, r.By, r.Partly = false, netip.Prefix{}, netip.Prefix{}, "", false
	}
	return r, !s.vrf && header.Type != actionNop && r.Table != unix.RT_TABLE_LOCAL, nil
}

// selectors are what a rule chooses packets by besides a spec.RoutingRule's fields.
type selectors struct {
	// never says that it names what no forwarded packet is here, vrf that it is that of
	// VRFs.
	never, vrf bool
	mark, mask uint32
}

// read takes one attribute of a rule.
func (s *selectors) read(r *spec.RoutingRule, header *nl.RtMsg, kind uint16, v []byte) {
	word := number(v)
	switch kind {
	case nl.FRA_SRC:
		r.From = prefixOf(v, header.Src_len)
	case nl.FRA_DST:
		r.To = prefixOf(v, header.Dst_len)
	case nl.FRA_IIFNAME:
		r.By = unix.ByteSliceToString(v)
	case nl.FRA_OIFNAME, nl.FRA_TUN_ID: // what a program of the host sends by a link that it names, and a tunnel's
		s.never = true
	case nl.FRA_FWMARK:
		s.mark = word
	case nl.FRA_FWMASK:
		s.mask = word
	case nl.FRA_PRIORITY:
		r.Priority = word
	case nl.FRA_TABLE:
		r.Table = word
	case nl.FRA_SUPPRESS_PREFIXLEN, nl.FRA_SUPPRESS_IFGROUP:
		r.Sifts = r.Sifts || word != math.MaxUint32 && (kind == nl.FRA_SUPPRESS_IFGROUP || word >= wholeBits)
	case nl.FRA_L3MDEV:
		s.vrf = true
	case nl.FRA_FLOW, nl.FRA_PAD, nl.FRA_PROTOCOL: // a realm, and who made the rule
	default: // protocols, ports, users, and what later kernels have
		r.Partly = true
	}
}

func prefixOf(v []byte, bits uint8) netip.Prefix {
	a, _ := netip.AddrFromSlice(v)
	return netip.PrefixFrom(a, int(bits))
}

// ExitOf asks by which link a packet leaves that came by a link; known is false if that
// link is not there, or the packet may not be taken from it (rp_filter).
func (h *Handle) ExitOf(ctx context.Context, p spec.Passage) (exit spec.Exit, known bool, err error) {
	if err = ctx.Err(); err != nil {
		return exit, false, err
	}
	index, err := h.indexOf(p.By)
	if err != nil || index == 0 {
		return exit, false, err
	}
	answers, err := h.askRoute(index, p)
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES):
		return exit, true, nil // no route, or one that refuses
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENODEV):
		return exit, false, nil // EINVAL for what is not taken since 6.14, and for blackholes
	case err != nil:
		return exit, false, fmt.Errorf("look for the way from %s by %s to %s: %w", p.From, p.By, p.To, err)
	case len(answers) == 0 || len(answers[0]) < unix.SizeofRtMsg || nl.DeserializeRtMsg(answers[0]).Type != unix.RTN_UNICAST:
		return exit, true, nil
	}
	by, err := wordOf(answers[0], unix.RTA_OIF)
	table, err2 := wordOf(answers[0], unix.RTA_TABLE)
	if err = errors.Join(err, err2); err != nil {
		return exit, false, fmt.Errorf("read the way from %s by %s to %s: %w", p.From, p.By, p.To, err)
	}
	return spec.Exit{Link: h.nameOf(int(by)), Table: table}, true, nil
}

// askRoute asks for the route of a packet that comes by the link of that number.
func (h *Handle) askRoute(index int, p spec.Passage) ([][]byte, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, 0)
	req.Sockets = h.raw
	msg := unix.RtMsg{Family: unix.AF_INET, Dst_len: uint8(p.To.BitLen()), Src_len: uint8(p.From.BitLen()), Flags: unix.RTM_F_LOOKUP_TABLE}
	if p.To.Is6() {
		msg.Family, msg.Flags = unix.AF_INET6, 0 // it always tells the table, and refuses to be asked for it
	}
	req.AddData(&nl.RtMsg{RtMsg: msg})
	req.AddData(nl.NewRtAttr(unix.RTA_DST, p.To.AsSlice()))
	req.AddData(nl.NewRtAttr(unix.RTA_SRC, p.From.AsSlice()))
	req.AddData(nl.NewRtAttr(unix.RTA_IIF, nl.Uint32Attr(uint32(index))))
	return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
}

// wordOf returns a number of a route's message, 0 if it is not there.
func wordOf(m []byte, kind uint16) (uint32, error) {
	v, err := attribute(m, unix.SizeofRtMsg, kind)
	if err != nil || len(v) < 4 {
		return 0, err
	}
	return binary.NativeEndian.Uint32(v), nil
}

// indexOf returns the number of the link of that name, 0 for none; see nameOf.
func (h *Handle) indexOf(name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("look up link %s: %w", name, err)
	}
	err = unix.IoctlIfreq(h.packets, unix.SIOCGIFINDEX, ifr)
	if errors.Is(err, unix.ENODEV) {
		return 0, nil
	}
	return int(ifr.Uint32()), wrap(err, "look up link %s", name)
}

// number is an attribute of four bytes; what a shorter one lacks is 0.
func number(v []byte) uint32 {
	n := min(4, len(v))
	return binary.NativeEndian.Uint32(append(v[:n:n], 0, 0, 0, 0))
}
