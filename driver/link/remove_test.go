package link_test

import (
	"context"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/gangway-net/gangway/driver/spec"
)

// A removal is not waited for to its end, but what was removed has gone: both
// ends of a pair, in both namespaces, and the names are free.
func TestRemovedIsGone(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		for range 20 {
			f.ensureVeth(v, "veth "+v.Host+" was missing: created")
			moved(f, v, func(container netns.NsHandle) {
				inside, err := netlink.NewHandleAt(container)
				if err != nil {
					t.Error(err)
					return
				}
				defer inside.Close()
				if links, err := inside.LinkList(); err != nil || len(links) != 2 {
					t.Errorf("%d links in the container, want lo and the peer: %v", len(links), err)
				}
				f.ok(f.DeleteVeth(context.Background(), v))
				if links, err := inside.LinkList(); err != nil || len(links) != 1 {
					t.Errorf("%d links in the container, want lo: %v", len(links), err)
				}
				if links, err := netlink.LinkList(); err != nil || len(links) != 2 {
					t.Errorf("%d links on the host, want lo and br0: %v", len(links), err)
				}
			})
		}
	})
}
