package driver

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/integration/testkit"
)

// wantLines compares lines with the parts that each has to have, in order.
func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	match := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		match = match && strings.Contains(got[i], want[i])
	}
	if !match {
		t.Errorf("%s: %q, want lines with %q", what, got, want)
	}
}

// named is a network whose options name what a host has, or not.
func named() CreateNetworkRequest {
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.Options = generic("com.docker.network.host_ipv4", "192.0.2.50", "com.docker.network.bridge.trusted_host_interfaces", "eth0:nope0",
		"com.docker.network.bridge.host_binding_ipv4", "127.0.0.1,192.0.2.60")
	return r
}

// TestUnmet: what the options of a network name and the host does not have is told
// with its name, as long as that is so.
func TestUnmet(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), named()))
	f.facts = map[string]string{"eth0": ""}
	binding, host, trusted := "host_binding_ipv4, and the host has no address 192.0.2.60", "host_ipv4, and the host has no address 192.0.2.50", "no interface nope0"
	got := degraded(d.Status(t.Context()))
	wantLines(t, "none is there", got, binding, trusted, host)
	for _, line := range got {
		if !strings.Contains(line, "network aaaaaaaaaaaa (bridge gw-aaaaaaaaaaaa)") {
			t.Errorf("%q does not name the network", line)
		}
	}
	f.facts["192.0.2.60"], f.facts["nope0"] = "", ""
	wantLines(t, "two are there", degraded(d.Status(t.Context())), host)
	f.facts["192.0.2.50"] = ""
	wantLines(t, "all are there", degraded(d.Status(t.Context())))
	delete(f.facts, "nope0")
	wantLines(t, "one has gone", degraded(d.Status(t.Context())), trusted)
	f.failAt = f.ops + 1
	wantLines(t, "nobody knows", degraded(d.Status(t.Context())), errInjected.Error())
	must(t, d.DeleteNetwork(t.Context(), netA))
	wantLines(t, "without the network", degraded(d.Status(t.Context())))
}

// silentFacts is a host that does not tell its addresses until the test has it do so.
type silentFacts struct {
	*fakeHost
	speak chan struct{}
}

func (h silentFacts) HostAddresses(ctx context.Context) (map[netip.Addr]bool, error) {
	<-h.speak
	return h.fakeHost.HostAddresses(ctx)
}

// TestUnmetHangs: a kernel that does not answer is not asked by ever more of those who
// want to know the status.
func TestUnmetHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeHost()
		d := newTestDriver(t, f, "boot")
		must(t, d.CreateNetwork(t.Context(), named()))
		f.facts = map[string]string{"eth0": ""}
		speak := make(chan struct{})
		d.o.Facts = silentFacts{f, speak}
		for range 3 * maxLooks {
			d.Status(t.Context())
		}
		d.asked.mu.Lock()
		if n := len(d.asked.open); n != maxLooks {
			t.Errorf("%d questions are open, want %d", n, maxLooks)
		}
		d.asked.mu.Unlock()
		close(speak)
		synctest.Wait()
		if got := degraded(d.Status(t.Context())); len(got) != 3 {
			t.Errorf("with the answer: %q", got)
		}
	})
}

// TestUnmetWays: ports that are published have a way to their container.
func TestUnmetWays(t *testing.T) {
	f := newFakeHost()
	f.facts = map[string]string{}
	d := newTestDriver(t, f, "boot")
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.Options = generic("com.docker.network.bridge.inhibit_ipv4", "true")
	only6 := CreateNetworkRequest{ID: netB, IPv6: pool("fe80::/64", "fe80::1"), Options: map[string]any{
		"com.docker.network.enable_ipv4": false, "com.docker.network.enable_ipv6": true}}
	must(t, d.CreateNetwork(t.Context(), r), d.CreateNetwork(t.Context(), only6))
	e := CreateEndpointRequest{NetworkID: netB, EndpointID: ep2, IPv6: netip.MustParsePrefix("fe80::2/64")}
	must(t,
		endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(netA, ep1, "10.0.0.2/24"))), joinErr(d.Join(t.Context(), netA, ep1, "/netns/1", nil)),
		endpointErr(d.CreateEndpoint(t.Context(), e)), joinErr(d.Join(t.Context(), netB, ep2, "/netns/2", nil)))
	wantLines(t, "nothing is published", degraded(d.Status(t.Context())))
	must(t, d.Publish(t.Context(), netA, ep1, portmap(8080, 80)), d.Publish(t.Context(), netB, ep2, portmap(8081, 80)))
	inhibited, local := "inhibit_ipv4, and the host has no way to 10.0.0.2", "its only address fe80::2 is link-local"
	wantLines(t, "published", degraded(d.Status(t.Context())), inhibited, local)
	f.facts["to 10.0.0.2"] = "eth0"
	wantLines(t, "another way", degraded(d.Status(t.Context())), inhibited, local)
	f.facts["to 10.0.0.2"] = "gw-aaaaaaaaaaaa"
	wantLines(t, "the bridge's way", degraded(d.Status(t.Context())), local)
	delete(f.facts, "to 10.0.0.2")
	must(t, d.Unpublish(t.Context(), netA, ep1), d.Unpublish(t.Context(), netB, ep2))
	wantLines(t, "nothing is published any more", degraded(d.Status(t.Context())))
}

// TestUnmetIsTold: who keeps the driver hears of each condition that is met no more,
// and of each that is again, once; and the kernel is asked to tell of them.
func TestUnmetIsTold(t *testing.T) {
	f := newFakeHost()
	f.facts = map[string]string{"eth0": "", "192.0.2.50": "", "192.0.2.60": ""}
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), named()))
	told := &news{told: make(chan struct{}, 1)}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.KeepReconciled(ctx, told, drift.Pace{Every: time.Hour}) }()
	defer func() { end(); <-ended }()
	wantEvents := func(want ...string) {
		t.Helper()
		var lines []string
		testkit.Eventually(t, "events", func() bool {
			lines = nil
			for _, e := range d.Events(ctx, 0, 0) {
				if e.Kind == events.Problem || e.Kind == events.Solved {
					lines = append(lines, e.Kind+" "+e.Text)
				}
			}
			return len(lines) >= len(want)
		})
		wantLines(t, "events", lines, want...)
	}
	told.tell()
	wantEvents("interface nope0")
	change := func(with func()) {
		f.mu.Lock()
		with()
		f.mu.Unlock()
		told.tell()
	}
	change(func() { f.facts["nope0"] = "" })
	wantEvents("interface nope0", "solved: ")
	change(func() { delete(f.facts, "192.0.2.50") })
	wantEvents("interface nope0", "solved: ", "192.0.2.50")
}

// degraded and problem are the lines of what makes a status so.
func degraded(s Status) []string { return cause.Lines(s.Causes, cause.Degraded) }

func problem(s Status) (text string) {
	for _, c := range cause.With(s.Causes, cause.Problem) {
		text += c.What
	}
	return text
}

// TestUnmetAtTheEnd: a daemon that ends tells of nothing that nobody has answered.
func TestUnmetAtTheEnd(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), named()))
	f.facts = map[string]string{"eth0": "", "nope0": "", "192.0.2.50": "", "192.0.2.60": ""}
	d.review(t.Context())
	before := len(d.Events(t.Context(), 0, 0))
	f.failAt = f.ops + 1
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d.review(ctx)
	if all := d.Events(t.Context(), 0, 0); len(all) != before {
		t.Errorf("told at the end: %v", all[before:])
	}
	f.failAt = f.ops + 1
	d.review(t.Context())
	if all := d.Events(t.Context(), 0, 0); len(all) == before {
		t.Error("what nobody has answered is not told while the daemon runs")
	}
}
