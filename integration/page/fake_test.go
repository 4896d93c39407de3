package page

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/graph/graphtest"
	"github.com/gangway-net/gangway/plugin/page"
	"github.com/gangway-net/gangway/plugin/webserver"
)

// daemon is a source that shows what it is told.
type daemon struct {
	mu     sync.Mutex
	host   *graphtest.Host
	events []plugin.Event
	err    error
	// rates are bytes that each container receives a second; it sends a tenth.
	rates map[string]uint64
	begin time.Time
	// decisions are by the id of a network or an endpoint.
	decisions map[string][]plugin.Decisions
	packets   chan plugin.DroppedPacket
	// following is how many follow packets.
	following int
}

func newDaemon(h *graphtest.Host) *daemon {
	return &daemon{host: h, rates: map[string]uint64{}, decisions: map[string][]plugin.Decisions{}, begin: time.Now(), packets: make(chan plugin.DroppedPacket, 100)}
}

// change does something to the host between two samples.
func (d *daemon) change(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *daemon) Graph(context.Context) (plugin.Graph, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.host.Graph
	g.Networks, g.Endpoints, g.Ports = slices.Clone(g.Networks), slices.Clone(g.Endpoints), slices.Clone(g.Ports)
	for i, e := range g.Endpoints {
		n := uint64(time.Since(d.begin).Seconds() * float64(d.rates[e.ID]))
		g.Endpoints[i].Traffic = &plugin.Passed{ReceivedBytes: n, SentBytes: n / 10}
	}
	return g, d.err
}

func (d *daemon) EventsAfter(_ context.Context, number uint64) ([]plugin.Event, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.events[min(number, uint64(len(d.events))):], d.err
}

func (d *daemon) Decisions(_ context.Context, of string) (all []plugin.Decisions, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.decisions[of], d.err
}

func (d *daemon) FollowDrops(ctx context.Context, take func(plugin.DroppedPacket) error) error {
	d.change(func() { d.following++ })
	defer d.change(func() { d.following-- })
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-d.packets:
			if err := take(p); err != nil {
				return err
			}
		}
	}
}

func (d *daemon) followers() (n int) {
	d.change(func() { n = d.following })
	return n
}

// event notes one that is about a container, or about nothing.
func (d *daemon) event(kind, text, endpoint string) {
	d.change(func() {
		e := plugin.Event{Number: uint64(len(d.events) + 1), Time: time.Now(), Kind: kind, Text: text}
		for _, of := range d.host.Endpoints {
			if of.ID == endpoint {
				e.NetworkID, e.NetworkName, e.ContainerID, e.ContainerName = of.NetworkID, of.NetworkName, of.ContainerID, of.ContainerName
			}
		}
		d.events = append(d.events, e)
	})
}

// refuse has a packet from outside to a container refused.
func (d *daemon) refuse(endpoint string, port uint16) {
	p := plugin.DroppedPacket{Time: time.Now(), Reason: "unpublished", Protocol: "tcp"}
	p.From.Addr, p.From.Port, p.From.Interface = netip.MustParseAddr("198.51.100.7"), 40000, "eth0"
	d.change(func() {
		for i := range d.host.Endpoints {
			e := &d.host.Endpoints[i]
			if e.ID != endpoint {
				continue
			}
			p.To = plugin.Party{Party: driver.Party{Addr: e.Addresses[0].Addr(), Port: port, Interface: e.Bridge, NetworkID: e.NetworkID, EndpointID: e.ID}, Whose: e.Whose}
			count(&e.Dropped)
			for j := range d.host.Networks {
				if d.host.Networks[j].ID == e.NetworkID {
					count(&d.host.Networks[j].Dropped)
				}
			}
		}
	})
	d.packets <- p
}

func count(of *driver.Drops) {
	fresh := driver.Drops{"unpublished": (*of)["unpublished"] + 1}
	*of = fresh
}

// serve serves the daemon's page until the test's end, and returns its address.
func serve(t *testing.T, source page.Source, token string) string {
	t.Helper()
	l, err := webserver.Listen(t.Context(), config.Listen{Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := page.New(page.Options{Source: source, Token: token, Log: testkit.Quiet(), Every: 200 * time.Millisecond, Host: func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")}, nil
	}})
	ended := make(chan error, 1)
	go func() { ended <- webserver.Serve(ctx, l, p, testkit.Quiet()) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("end of the page: %v", err)
		}
	})
	return "http://" + l.Addr().String()
}
