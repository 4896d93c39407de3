package driver

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// fakeCounters are the kernel's.
type fakeCounters struct {
	refused []firewall.Refusal
	ports   map[string]uint64
	err     error
	asked   atomic.Int64
	// block holds up Refused until it is closed.
	block chan struct{}
}

func (f *fakeCounters) Refused(context.Context) ([]firewall.Refusal, error) {
	f.asked.Add(1)
	if f.block != nil {
		<-f.block
	}
	return f.refused, f.err
}

func (f *fakeCounters) PortDrops(context.Context) (map[string]uint64, error) { return f.ports, f.err }

// counted is a driver with a container on netA, and its counters.
func counted(t *testing.T) (*Driver, *fakeCounters) {
	t.Helper()
	_, d := withContainer(t)
	c := &fakeCounters{}
	d.o.Refused, d.o.PortDrops = c, c
	return d, c
}

// look has the driver ask the kernel, as if the last time were long ago.
func look(t *testing.T, d *Driver) Status {
	t.Helper()
	d.drops.next = time.Time{}
	return d.Status(t.Context())
}

// TestDropsSeen: what the kernel counts is seen by network and container, in the total
// also when these are gone, and in an event.
func TestDropsSeen(t *testing.T) {
	d, c := counted(t)
	bridge := d.Networks(t.Context())[0].Bridge
	if s := look(t, d); s.Dropped.Total() != 0 {
		t.Errorf("before anything: %v", s.Dropped)
	}
	c.refused = []firewall.Refusal{
		{Counter: "1", Reason: firewall.Unpublished, Bridge: bridge, Addr: netip.MustParseAddr("10.0.0.2"), Packets: 4, Overruled: 1},
		{Counter: "2", Reason: firewall.Unpublished, Bridge: bridge, Addr: netip.MustParseAddr("10.0.0.77"), Packets: 10},
		{Counter: "3", Reason: firewall.Isolated, Bridge: bridge, Packets: 100},
		{Counter: "4", Reason: firewall.Spoofed, Bridge: "", Packets: 1000},
	}
	c.ports = map[string]uint64{ep1: 7}
	status := look(t, d)
	all := Drops{firewall.Unpublished: 13, firewall.Isolated: 100, firewall.Spoofed: 1007}
	if diff := cmp.Diff(all, status.Dropped); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	network := d.Networks(t.Context())[0]
	if diff := cmp.Diff(Drops{firewall.Unpublished: 13, firewall.Isolated: 100, firewall.Spoofed: 7}, network.Dropped); diff != "" {
		t.Errorf("network (-want +got):\n%s", diff)
	}
	endpoints, err := d.Endpoints(t.Context())
	must(t, err)
	if diff := cmp.Diff(Drops{firewall.Unpublished: 3, firewall.Spoofed: 7}, endpoints[0].Dropped); diff != "" {
		t.Errorf("endpoint (-want +got):\n%s", diff)
	}
	told := d.Events(t.Context(), 0, 0)
	if len(told) != 1 || told[0].Kind != events.Dropped || !strings.Contains(told[0].Text, "7 spoofed (network "+model.Short(netA)+", endpoint "+model.Short(ep1)+")") {
		t.Errorf("events %+v", told)
	}

	must(t, d.Leave(t.Context(), netA, ep1))
	must(t, d.DeleteEndpoint(t.Context(), netA, ep1))
	must(t, d.DeleteNetwork(t.Context(), netA))
	c.refused, c.ports = nil, nil
	if diff := cmp.Diff(all, look(t, d).Dropped); diff != "" || len(d.drops.tally.networks)+len(d.drops.tally.endpoints) > 0 {
		t.Errorf("after all is gone (-want +got):\n%s%v %v", diff, d.drops.tally.networks, d.drops.tally.endpoints)
	}
}

// TestDropEvents: there is at most one a minute, with all since the last one, and none
// when nothing was dropped.
func TestDropEvents(t *testing.T) {
	d, c := counted(t)
	texts := func() string {
		var all []string
		for _, e := range d.Events(t.Context(), 0, 0) {
			all = append(all, e.Text)
		}
		return strings.Join(all, "\n")
	}
	look(t, d)
	for n := range 5 {
		c.refused = []firewall.Refusal{{Reason: firewall.Spoofed, Packets: uint64(n + 1)}}
		look(t, d)
	}
	want := "1 packet dropped: 1 spoofed"
	if got := texts(); got != want {
		t.Errorf("within a minute: %q, want %q", got, want)
	}
	want += "\n4 packets dropped: 4 spoofed"
	for range 3 {
		d.drops.told = d.drops.told.Add(-dropsEvery)
		look(t, d)
		if got := texts(); got != want {
			t.Errorf("later: %q, want %q", got, want)
		}
	}
}

// TestDropsRare: who asks often has the kernel asked rarely, who comes meanwhile waits
// for nobody, and an error takes nothing away.
func TestDropsRare(t *testing.T) {
	d, c := counted(t)
	look(t, d)
	c.ports = map[string]uint64{ep1: 7}
	look(t, d)
	before := c.asked.Load()
	for range 20 {
		d.Status(t.Context())
	}
	if n := c.asked.Load() - before; n != 0 {
		t.Errorf("asked the kernel %d times within a moment", n)
	}
	c.err = errors.New("the kernel does not tell")
	if s := look(t, d); s.Dropped[firewall.Spoofed] != 7 {
		t.Errorf("after an error: %v", s.Dropped)
	}
	c.block = make(chan struct{})
	d.drops.next = time.Time{}
	slow := make(chan struct{})
	go func() {
		d.countDrops(context.Background())
		close(slow)
	}()
	for before = c.asked.Load(); c.asked.Load() == before; {
		time.Sleep(time.Millisecond)
	}
	if s := d.Status(t.Context()); s.Dropped[firewall.Spoofed] != 7 {
		t.Errorf("while somebody asks: %v", s.Dropped)
	}
	close(c.block)
	<-slow
}

// TestCountDrops: it looks once a minute until the end.
func TestCountDrops(t *testing.T) {
	d, c := counted(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			d.CountDrops(ctx)
			close(ended)
		}()
		time.Sleep(3*dropsEvery + time.Second)
		if n := c.asked.Load(); n != 4 {
			t.Errorf("asked %d times in three minutes, want at their begin and after each", n)
		}
		stop()
		<-ended
	})
}
