package bench

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/gangway-net/gangway/integration/testkit"
)

// own is gangway, called as an engine calls it. What the engine does with the link is in
// the time as well: the others do it, too.
type own struct {
	*station
	host    *peerHost
	network int
}

func newOwn(t testing.TB, v Variant, h *peerHost) *own {
	t.Helper()
	s := &station{variant: v, host: h.Node, programs: inside, socket: "/run/gangway/peer.sock", state: "/var/lib/gangway"}
	s.http = testkit.UnixClient(h.Path(s.socket), 0)
	t.Cleanup(s.http.CloseIdleConnections)
	s.kernel, _ = handleOf(t, h.Node)
	s.start(t)
	return &own{station: s, host: h, network: s.network(t)}
}

func endpointOf(network, i int, p published) endpoint {
	e := member(network, i-resident)
	e.first, e.ports, e.proto = p.first, p.count, p.proto
	return e
}

func (o *own) up(t testing.TB, i int, p published) time.Duration {
	t.Helper()
	ns, err := netns.GetFromPath(o.host.Path("/run/netns/" + space(i)))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ns.Close() }()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	e := endpointOf(o.network, i, p)
	start := time.Now()
	for _, step := range coming() {
		var joined struct{ InterfaceName struct{ SrcName string } }
		o.must(t, step.op, step.body(e), &joined)
		if name := joined.InterfaceName.SrcName; name != "" {
			if err := o.configure(h, int(ns), name, e.addr); err != nil {
				t.Fatalf("configure %s: %v", name, err)
			}
		}
	}
	return time.Since(start)
}

// configure does what the engine does with a container's link.
func (o *own) configure(in *netlink.Handle, ns int, name string, addr netip.Addr) error {
	l, err := o.kernel.LinkByName(name)
	if err == nil {
		err = o.kernel.LinkSetNsFd(l, ns)
	}
	if err == nil {
		l, err = in.LinkByName(name)
	}
	if err == nil {
		err = in.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(24, 32)}})
	}
	if err == nil {
		err = in.LinkSetName(l, "eth0")
	}
	if err == nil {
		err = in.LinkSetUp(l)
	}
	if err != nil {
		return err
	}
	gateway := netip.PrefixFrom(addr, 24).Masked().Addr().Next()
	return in.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: gateway.AsSlice()})
}

func (o *own) down(t testing.TB, i int, p published) time.Duration {
	t.Helper()
	e := endpointOf(o.network, i, p)
	start := time.Now()
	for _, step := range going() {
		o.must(t, step.op, step.body(e), nil)
	}
	return time.Since(start)
}
