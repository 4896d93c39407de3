package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/driver/spec"
)

// EnsureProxied has the host answer for an address. As long as the link is not there, nobody asks.
func (h *Handle) EnsureProxied(ctx context.Context, p spec.Proxied) (fixed []string, err error) {
	link, err := h.proxyLink(ctx, p.Link)
	if err != nil || link == nil {
		return nil, err
	}
	entry := proxyEntry{link.Attrs().Index, p.Address}
	_, there, err := h.proxyEntry(entry)
	if err == nil && !there {
		err = h.addProxyEntry(entry)
	}
	if err != nil || there {
		return nil, wrap(err, "answer for %s on link %s", p.Address, p.Link)
	}
	return []string{fmt.Sprintf("link %s: proxy neighbour entry of %s was missing: added", p.Link, p.Address)}, h.announceProxied(link, p.Address)
}

// DeleteProxied ends that. An entry that somebody else has made stays.
func (h *Handle) DeleteProxied(ctx context.Context, p spec.Proxied) error {
	link, err := h.proxyLink(ctx, p.Link)
	if err != nil || link == nil {
		return err
	}
	entry := proxyEntry{link.Attrs().Index, p.Address}
	if protocol, _, err := h.proxyEntry(entry); err != nil || protocol != spec.RouteProtocol {
		return err
	}
	return h.deleteProxyEntry(entry)
}

func (h *Handle) proxyLink(ctx context.Context, name string) (netlink.Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	link, err := h.find(name)
	if err != nil || link == nil || link.Attrs().Name != name {
		return nil, err
	}
	return link, nil
}

// Strays returns the addresses that gangway has links answer for, of subnets of these proxies, and that are none of the
// wanted ones.
func (h *Handle) Strays(ctx context.Context, proxies []spec.NDPProxy, wanted []spec.Proxied) (strays []spec.Proxied, err error) {
	if len(proxies) == 0 {
		return nil, nil
	}
	have, err := h.proxyEntries(ctx, 0)
	if err != nil {
		return nil, err
	}
	known := make(map[spec.Proxied]bool, len(wanted))
	for _, w := range wanted {
		known[spec.Proxied{Link: w.Link, Address: w.Address}] = true
	}
	for _, p := range proxies {
		link, err := h.proxyLink(ctx, p.Link)
		if err != nil {
			return nil, err
		}
		for e, protocol := range have {
			is := spec.Proxied{Link: p.Link, Address: e.address}
			if link != nil && e.link == link.Attrs().Index && protocol == spec.RouteProtocol && p.Has(e.address) && !known[is] {
				strays = append(strays, is)
			}
		}
	}
	return strays, nil
}

// answered are the addresses that are answered for, and the links of those that may be.
type answered struct {
	entries map[proxyEntry]uint8
	links   map[string]int
}

// answered looks once for all objects that need it.
func (h *Handle) answered(ctx context.Context, all []spec.Object) (a answered, err error) {
	a.links = map[string]int{}
	for _, o := range all {
		p, is := o.(spec.Proxied)
		if _, known := a.links[p.Link]; !is || known {
			continue
		}
		link, failed := h.proxyLink(ctx, p.Link)
		if failed != nil {
			return a, failed
		}
		a.links[p.Link] = 0
		if link != nil {
			a.links[p.Link] = link.Attrs().Index
		}
	}
	if len(a.links) > 0 {
		a.entries, err = h.proxyEntries(ctx, 0)
	}
	return a, err
}

// unanswered says whether an address is not answered for, though its link is there.
func (h *Handle) unanswered(_ context.Context, p spec.Proxied, is asked) (bool, error) {
	link := is.answered.links[p.Link]
	_, there := is.answered.entries[proxyEntry{link, p.Address}]
	return link != 0 && !there, nil
}

// removeProxied removes the entries of a link that are marked as gangway's, of a subnet.
func (h *Handle) removeProxied(ctx context.Context, link netlink.Link, subnet netip.Prefix) error {
	have, err := h.proxyEntries(ctx, link.Attrs().Index)
	errs := []error{err}
	for e, protocol := range have {
		if protocol == spec.RouteProtocol && subnet.Contains(e.address) {
			errs = append(errs, h.deleteProxyEntry(e))
		}
	}
	return errors.Join(errs...)
}
