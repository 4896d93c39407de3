package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Way is a route by which packets leave the host.
type Way struct {
	// Links are those of its next hops.
	Links []string
	// Route tells it from others.
	Route string
}

// ErrNoWay says that no route leads somewhere, or one that refuses.
var ErrNoWay = errors.New("no route leads there")

// WayFor finds the way of a packet from an address that came by the link of an index, or that
// the host itself sends if that is 0; from is invalid for whatever address the host chooses.
func (h *Handle) WayFor(ctx context.Context, index int, from, to netip.Addr) (Way, error) {
	if err := ctx.Err(); err != nil {
		return Way{}, err
	}
	// The route as it is in the table: of one with several next hops, each flow may have another.
	o := netlink.RouteGetOptions{IifIndex: index, FIBMatch: true} //nolint:forbidigo // a type, and no call on a shared handle
	if from.IsValid() {
		o.SrcAddr = from.AsSlice()
	}
	routes, err := h.nl.RouteGetWithOptions(to.AsSlice(), &o)
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EACCES), errors.Is(err, unix.EXDEV):
		return Way{}, fmt.Errorf("%w: %s: %w", ErrNoWay, to, err)
	case err != nil:
		return Way{}, fmt.Errorf("look for the way to %s: %w", to, err)
	case len(routes) == 0 || routes[0].Type != unix.RTN_UNICAST:
		return Way{}, fmt.Errorf("%w: %s", ErrNoWay, to)
	}
	r := routes[0]
	w := Way{Route: fmt.Sprint(r.Table, r.Dst, r.Gw, r.Via, r.LinkIndex)}
	if len(r.MultiPath) == 0 {
		w.Links = []string{h.nameOf(r.LinkIndex)}
	}
	for _, hop := range r.MultiPath {
		w.Links = append(w.Links, h.nameOf(hop.LinkIndex))
		w.Route += fmt.Sprint(hop.Gw, hop.Via, hop.LinkIndex)
	}
	return w, nil
}
