package link

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// What the container gets waits at the host's end of its pair, by which it leaves the host.
// What it sends comes in there, where the kernel keeps nothing back: a filter hands it to an
// ifb, which keeps it back and gives it to the host's end again. A bound by dropping (police)
// would have TCP fall far below the rate; one at the container's end is the container's to
// take away.
//
// The filter comes after that of the port, and what passes the ifb meets neither again. So
// nothing waits, or counts, that the port filter drops.

// EnsureShaper bounds what passes by a pair, or mends the bounds, and returns a line for each
// that was not as it should be. A direction without a bound gets none.
func (h *Handle) EnsureShaper(ctx context.Context, s spec.Shaper) (fixed []string, err error) {
	if err = ctx.Err(); err != nil {
		return nil, err
	}
	host, err := h.find(s.Host)
	if err != nil {
		return nil, err
	}
	if !owns(host, s.Host, s.EndpointID) {
		return nil, fmt.Errorf("keep to the %s: the link does not exist, or is not the endpoint's", s)
	}
	buckets, err := h.buckets(ctx)
	if err != nil {
		return nil, err
	}
	note := func(what string) { fixed = append(fixed, s.Host+": "+what) }
	if have := buckets[host.Attrs().Index]; s.In.Rate > 0 && !have.is(s.In) {
		if err = h.setBucket(host, have, s.In); err != nil {
			return fixed, err
		}
		note("the rate of what the container gets was not " + s.In.String() + ": set")
	} else if s.In.Rate == 0 && have.rate > 0 {
		if err = h.removeBucket(host); err != nil {
			return fixed, err
		}
		note("what the container gets was kept to a rate: not any more")
	}
	if s.Out.Rate == 0 {
		return fixed, h.removeIfb(s, host)
	}
	lines, err := h.ensureIfb(s, buckets)
	return append(fixed, lines...), err
}

// DeleteShaper takes the bounds of a pair away. What is gone already is no error.
func (h *Handle) DeleteShaper(ctx context.Context, s spec.Shaper) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	host, err := h.find(s.Host)
	if err != nil {
		return err
	}
	if owns(host, s.Host, s.EndpointID) {
		err = h.removeBucket(host)
	} else {
		host = nil
	}
	return errors.Join(err, h.removeIfb(s, host))
}

// ensureIfb has what comes in by the pair wait at an ifb. The filter that leads there comes
// last: nothing is lost at a link that is not ready. The pair's end is looked up again by
// its name, which a link that somebody has made again has, too.
func (h *Handle) ensureIfb(s spec.Shaper, buckets map[int]bucket) (fixed []string, err error) {
	ifb, err := h.find(s.Ifb)
	if err != nil {
		return nil, err
	}
	note := func(what string) { fixed = append(fixed, s.Host+": "+what) }
	if ifb == nil {
		if ifb, err = h.createIfb(s); err != nil {
			return nil, err
		}
		note("link " + s.Ifb + ", by which what the container sends is kept to its rate, was missing: created")
	}
	if err = h.nameIfb(s, ifb); err != nil {
		return fixed, err
	}
	if have := buckets[ifb.Attrs().Index]; !have.is(s.Out) {
		if err = h.setBucket(ifb, have, s.Out); err != nil {
			return fixed, err
		}
		note("the rate of what the container sends was not " + s.Out.String() + ": set")
	}
	if ifb.Attrs().Flags&net.FlagUp == 0 {
		if err = h.nl.LinkSetUp(ifb); err != nil {
			return fixed, fmt.Errorf("set link %s up: %w", s.Ifb, err)
		}
		note("link " + s.Ifb + " was down: set up")
	}
	host, err := h.find(s.Host)
	if err != nil || host == nil {
		return fixed, err
	}
	is, err := h.leads(host, toIfb(ifb))
	if err != nil || is {
		return fixed, err
	}
	if err = h.lead(host, toIfb(ifb)); err != nil {
		return fixed, err
	}
	note("what the container sends did not go by " + s.Ifb + ": led there")
	return fixed, nil
}

// createIfb makes the link, down and without a name of its owner.
func (h *Handle) createIfb(s spec.Shaper) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = s.Ifb
	ifb := &netlink.Ifb{LinkAttrs: attrs}
	err := h.nl.LinkAdd(ifb)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, fmt.Errorf("create link %s: the kernel has no ifb; load the module ifb, or leave gangway.rate.out out: %w", s.Ifb, err)
	}
	return ifb, wrap(err, "create link %s, by which what a container sends is kept to its rate", s.Ifb)
}

// nameIfb notes whose the link is, if that is not known yet, and keeps it out of IPv6. A link
// of somebody else is an error. A crash leaves one that nobody owns and that was never up.
func (h *Handle) nameIfb(s spec.Shaper, ifb netlink.Link) error {
	a := ifb.Attrs()
	if !owns(ifb, s.Ifb, s.EndpointID) {
		if a.Name != s.Ifb || ifb.Type() != kindIfb || a.Alias != "" || a.Flags&net.FlagUp != 0 {
			return fmt.Errorf("create link %s: a %s of that name exists (alias %q) and is not the endpoint's; remove or rename it", s.Ifb, ifb.Type(), a.Alias)
		}
		if err := h.nl.LinkSetAlias(ifb, spec.OwnerAlias+s.EndpointID); err != nil {
			return fmt.Errorf("set the alias of link %s: %w", s.Ifb, err)
		}
	}
	_, err := h.disableIPv6(s.Ifb)
	return err
}

// removeIfb has what comes in by the pair's end pass at once, and removes the link by which
// it went; host is nil where there is no such end. The filter goes first: what it leads to a
// link that is gone is lost.
func (h *Handle) removeIfb(s spec.Shaper, host netlink.Link) error {
	if host != nil {
		if err := h.leadNot(host, leading{priority: redirectPriority, handle: filterHandle}); err != nil {
			return err
		}
	}
	ifb, err := h.find(s.Ifb)
	if err != nil || !owns(ifb, s.Ifb, s.EndpointID) || ifb.Type() != kindIfb {
		return err
	}
	return h.remove(ifb)
}

// misshaped says whether EnsureShaper would mend anything. A pair that is not there has
// nothing to be mended.
func (h *Handle) misshaped(_ context.Context, s spec.Shaper, is asked) (bool, error) {
	host, err := h.find(s.Host)
	if err != nil || !owns(host, s.Host, s.EndpointID) {
		return false, err
	}
	have := is.buckets[host.Attrs().Index]
	if s.In.Rate == 0 && have.rate > 0 || s.In.Rate > 0 && !have.is(s.In) {
		return true, nil
	}
	if s.Out.Rate == 0 {
		return false, nil // what is left of it is an orphan
	}
	ifb, err := h.find(s.Ifb)
	if err != nil || ifb == nil {
		return ifb == nil, err
	}
	if !owns(ifb, s.Ifb, s.EndpointID) || ifb.Attrs().Flags&net.FlagUp == 0 || !is.buckets[ifb.Attrs().Index].is(s.Out) {
		return true, nil
	}
	led, err := h.leads(host, toIfb(ifb))
	return !led, err
}

// redirectPriority is that of the filter by which what a container sends goes to the ifb. It
// is a large one: filters that others have put there come first, as that of the port.
const redirectPriority = 0x4757

// toIfb leads all that comes in by a link to the ifb.
func toIfb(ifb netlink.Link) leading {
	return leading{priority: redirectPriority, handle: filterHandle, program: everything(), to: ifb.Attrs().Index}
}

// everything is a program that takes any packet, for filters that act on all: the kind of
// filters made for that (matchall) is not in every kernel that has this one.
func everything() []byte {
	return encode([]bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K, K: 0xffff_ffff}})
}
