package faulttest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestGatewaysShare: a second endpoint of a container takes the IPv6 side of its
// ports and gives it back, on the real kernel: one socket holds each port in both
// families before and after, and nobody else could have taken it meanwhile.
func TestGatewaysShare(t *testing.T) {
	const second, six = "bbbbbbbbbbbb2222", "666666666666eeee"
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		create := func(ctx context.Context, w *world) error {
			n, e := networkRequest(network, 0), endpointRequest(network, endpoint, 0, 2)
			n.IPv6, e.IPv6 = nil, netip.Prefix{}
			if err := w.CreateNetwork(ctx, n); err != nil {
				return err
			}
			_, err := w.CreateEndpoint(ctx, e)
			return err
		}
		do(t, w, "create the IPv4 network", create)
		do(t, w, "join it", join)
		do(t, w, "publish there", publish)
		do(t, w, "create the second network", func(ctx context.Context, w *world) error { return w.CreateNetwork(ctx, networkRequest(second, 1)) })
		do(t, w, "create the second endpoint", func(ctx context.Context, w *world) error {
			_, err := w.CreateEndpoint(ctx, endpointRequest(second, six, 1, 2))
			return err
		})
		do(t, w, "join the second network", func(ctx context.Context, w *world) error {
			_, err := w.Join(ctx, second, six, "/netns/1", nil)
			return err
		})
		before := w.picture(t)
		alone := "0.0.0.0 10.0.0.2 nat, :: 10.0.0.2 relay"
		for _, restart := range []bool{false, false, true} {
			if got := serving(t, w); got != alone {
				t.Errorf("with one gateway: %s, want %s", got, alone)
			}
			do(t, w, "publish there too", func(ctx context.Context, w *world) error {
				return w.Publish(ctx, second, six, ports(8080, 80, 9090, 90))
			})
			w.sound(t, "with two gateways")
			if got, want := serving(t, w), "0.0.0.0 10.0.0.2 nat, :: "+endpointRequest(second, six, 1, 2).IPv6.Addr().String()+" nat+relay"; got != want {
				t.Errorf("with two gateways: %s, want %s", got, want)
			}
			if restart {
				w.close()
				w = mustOpen(t, backend, dir)
				w.sound(t, "after a restart")
			}
			do(t, w, "stop publishing there", func(ctx context.Context, w *world) error { return w.Unpublish(ctx, second, six) })
			w.sound(t, "with one gateway again")
			if !restart { // which holds each family by a socket of its own from then on
				same(t, "with one gateway again", before, w.picture(t))
			}
		}
		if got := serving(t, w); got != alone {
			t.Errorf("with one gateway at the end: %s, want %s", got, alone)
		}
		do(t, w, "delete the second network", func(ctx context.Context, w *world) error { return w.DeleteNetwork(ctx, second) })
	})
}

// serving tells from where to where ports lead, and how.
func serving(t *testing.T, w *world) string {
	t.Helper()
	var lines []string
	for _, p := range w.Ports(t.Context()) {
		lines = append(lines, fmt.Sprintf("%s %s %s", p.HostIP, p.ContainerIP, p.Path))
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), ", ")
}
