package driver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
)

func (f *fakeHost) hears(ports ...spec.Listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listening = map[spec.Listener]bool{}
	for _, p := range ports {
		f.listening[p] = true
	}
}

func tcp(port uint16) spec.Listener { return spec.Listener{Proto: spec.TCP, Port: port} }
func udp(port uint16) spec.Listener { return spec.Listener{Proto: spec.UDP, Port: port} }

// TestHighPorts: the range of source ports has no published port at any moment, by what
// changed alone, and after a restart.
func TestHighPorts(t *testing.T) {
	f := newFakeHost()
	d, ctx := newTestDriver(t, f, "boot"), t.Context()
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	container(t, d, netA, ep2, "10.0.0.3/24", 8081, 80)
	f.wantHigh(t, "low ports are published")
	must(t, d.Publish(ctx, netA, ep1, portmapOn(17, "", 40000, 53)))
	f.wantHigh(t, "a high one", "udp 40960-65535")
	must(t, d.Publish(ctx, netA, ep2, portmapOn(17, "127.0.0.1", 50000, 53)))
	f.wantHigh(t, "one that nobody else reaches", "udp 40960-65535")
	must(t, d.Publish(ctx, netA, ep2, portmapOn(17, "", 41000, 53)))
	f.wantHigh(t, "another one", "udp 41984-65535")
	must(t, d.Publish(ctx, netA, ep2, portmapOn(6, "192.0.2.1", 65535, 53)))
	f.wantHigh(t, "of TCP, in the place of the other", "tcp 32768-64511", "udp 41984-65535")
	inSync(t, f, d)

	d = newTestDriver(t, f, "boot")
	f.wantHigh(t, "after a restart", "tcp 32768-64511", "udp 40960-65535")
	inSync(t, f, d)
	f.failAt = f.ops + 3
	for range 12 {
		if err := d.Publish(ctx, netA, ep2, portmapOn(17, "", 60000, 53)); err != nil {
			f.failAt = f.ops + f.failAt%7 + 1
		}
	}
	f.failAt = 0
	d.Reconcile(ctx)
	must(t, d.Publish(ctx, netA, ep2, portmapOn(17, "", 60000, 53)))
	f.wantHigh(t, "after failures", "tcp 32768-64511", "udp 40960-59391")
	must(t, d.Leave(ctx, netA, ep1), d.Leave(ctx, netA, ep2))
	f.wantHigh(t, "nothing is published", "tcp 32768-64511", "udp 40960-59391")
	must(t, d.DeleteEndpoint(ctx, netA, ep1), d.DeleteEndpoint(ctx, netA, ep2), d.DeleteNetwork(ctx, netA))
	f.wantHigh(t, "without a network")
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	f.wantHigh(t, "with a new one")
}

// TestListeners: the range has no port on which the host listens for more than a moment,
// and rules do not follow each socket of a client.
func TestListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeHost()
		f.hears(udp(51820))
		d, ctx := newTestDriver(t, f, "boot"), t.Context()
		must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
		f.wantHigh(t, "a service since before", "udp 32768-51199")
		check := func(every time.Duration, times int, ports ...spec.Listener) {
			t.Helper()
			f.hears(ports...)
			for range times {
				time.Sleep(every)
				if fixed := d.Reconcile(ctx); fixed != 0 {
					t.Errorf("%d repairs: sockets are no fault of the rules", fixed)
				}
			}
		}
		check(3*time.Second, 1, udp(51820), tcp(40000))
		f.wantHigh(t, "TCP that listens", "tcp 40960-65535", "udp 32768-51199")
		check(3*time.Second, 2, udp(51820), udp(40001))
		check(3*time.Second, 2, udp(51820), udp(40002))
		check(10*time.Second, 2, udp(51820), udp(40003))
		check(3*time.Second, 2, udp(51820), udp(40001))
		check(100*time.Millisecond, 10, udp(51820), udp(40002))
		f.wantHigh(t, "clients", "tcp 40960-65535", "udp 32768-51199")
		check(3*time.Second, 4, udp(51820), udp(40002))
		f.wantHigh(t, "a service that stays", "tcp 40960-65535", "udp 52224-65535")
		check(3*time.Second, 15)
		f.wantHigh(t, "gone for a while", "tcp 40960-65535", "udp 52224-65535")
		check(3*time.Second, 25)
		f.wantHigh(t, "gone", "tcp 40960-65535")
		check(commit.FullTime, 1, tcp(50000)) // when all is compared
		check(3*time.Second, 3, tcp(50000), udp(52000))
		f.wantHigh(t, "others", "tcp 32768-49151", "udp 32768-51199")

		f.deaf = true
		d.Reconcile(ctx)
		wantLines(t, "nobody tells", degraded(d.Status(ctx)), "on which ports from 32768 on the host listens is not known: "+errInjected.Error())
		f.wantHigh(t, "nobody tells", "tcp 32768-49151", "udp 32768-51199")
		f.deaf = false
		d.Reconcile(ctx)
		wantLines(t, "somebody tells", degraded(d.Status(ctx)))
		d.Wait()
	})
}

// TestFewHighPorts: that few ports are left, or none, is told.
func TestFewHighPorts(t *testing.T) {
	f := newFakeHost()
	d, ctx := newTestDriver(t, f, "boot"), t.Context()
	var all []spec.Listener
	for p := 32768; p <= 65535; p++ {
		if p < 50000 || p > 50999 {
			all = append(all, tcp(uint16(p)))
		}
	}
	f.hears(all...)
	d.Reconcile(ctx)
	wantLines(t, "without a network", degraded(d.Status(ctx)))
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	f.wantHigh(t, "few", "tcp 50000-50999")
	wantLines(t, "few", degraded(d.Status(ctx)), "only 1000 tcp source ports (50000-50999) are left")
	for p := 50000; p <= 50999; p++ {
		all = append(all, tcp(uint16(p)))
	}
	f.hears(all...)
	d.Reconcile(ctx)
	f.wantHigh(t, "none")
	wantLines(t, "none", degraded(d.Status(ctx)), "each tcp port from 32768 on is published, or the host listens on it")
}

// dropping notes the ports whose flows are dropped.
type dropping struct {
	*fakeHost
	runs *[]string
}

func (f dropping) DropPorts(_ context.Context, runs []spec.Published) error {
	for _, r := range runs {
		*f.runs = append(*f.runs, fmt.Sprintf("%s %s:%d to %v", r.Proto, r.HostIP, r.First, r.ContainerIP.IsValid()))
	}
	slices.Sort(*f.runs)
	return nil
}

// TestListenersFlows: who has a UDP port as his source gives it up when the host listens
// there, once the rules give it to nobody.
func TestListenersFlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, dropped := newFakeHost(), []string{}
		d, ctx := newTestDriver(t, f, "boot", func(o *Options) { o.Flows = dropping{f, &dropped} }), t.Context()
		must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
		f.hears(udp(51820), tcp(40000))
		f.failFrom = f.ops + 1
		for range 4 {
			time.Sleep(3 * time.Second)
			d.Reconcile(ctx)
		}
		d.Wait()
		f.wantHigh(t, "rules fail")
		if len(dropped) > 0 {
			t.Errorf("dropped before the rules have changed: %q", dropped)
		}
		f.failFrom = 0
		for range 3 {
			d.Reconcile(ctx)
		}
		d.Wait()
		f.wantHigh(t, "rules do not fail", "tcp 40960-65535", "udp 32768-51199")
		if d := cmp.Diff([]string{"udp 0.0.0.0:51820 to false", "udp :::51820 to false"}, dropped); d != "" {
			t.Errorf("dropped (-want +got):\n%s", d)
		}
	})
}

func (f *fakeHost) Listening(_ context.Context, first uint16, without map[spec.Protocol][]spec.Span) (map[spec.Listener]bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deaf {
		return nil, errInjected
	}
	found := maps.Clone(f.listening)
	maps.DeleteFunc(found, func(l spec.Listener, _ bool) bool {
		return l.Port < first || slices.ContainsFunc(without[l.Proto], func(s spec.Span) bool { return s.First <= l.Port && l.Port <= s.Last })
	})
	return found, nil
}

// lookForShadows notes published ports that are in the range of their protocol.
func (f *fakeHost) lookForShadows() {
	for _, p := range rulesOf[firewall.Port](f) {
		is := firewall.HighPorts{Proto: p.Proto, First: firewall.FirstHighPort, Last: firewall.LastHighPort}
		for _, h := range rulesOf[firewall.HighPorts](f) {
			if h.Proto == p.Proto {
				is = h
			}
		}
		if !p.HostIP.IsLoopback() && p.First <= is.Last && is.First <= p.Last {
			f.shadowed = append(f.shadowed, fmt.Sprintf("%s %d-%d in %d-%d", p.Proto, p.First, p.Last, is.First, is.Last))
		}
	}
}

// wantHigh compares the ranges of the rules, as "udp 40000-50000".
func (f *fakeHost) wantHigh(t *testing.T, when string, want ...string) {
	t.Helper()
	var got []string
	for _, h := range rulesOf[firewall.HighPorts](f) {
		got = append(got, fmt.Sprintf("%s %d-%d", h.Proto, h.First, h.Last))
	}
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", when, d)
	}
	if f.shadowed != nil {
		t.Errorf("%s: published ports were in the range: %q", when, f.shadowed)
	}
}
