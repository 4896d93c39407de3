package driver

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
)

// TestLearnPolicy: while a policy is learned of a container nothing is refused of it, and of nobody
// else; what was seen makes the policy; it ends with its time, with who asked for it, and with
// the daemon, and nothing of it is stored.
func TestLearnPolicy(t *testing.T) {
	f, d := withPolicy(t, policyOf("agents", config.Policy{Egress: "deny"}))
	log := newFakeLog()
	d.o.DropLog = func() (DropLog, error) { return log, nil }
	of := Whom{netA, ep1}
	mode := func(network, endpoint string) string {
		texts, _ := inForce(f, network, endpoint)
		return texts.Mode
	}
	ctx, stop := context.WithCancel(t.Context())
	told, done := startLearningFor(ctx, t, d, of, time.Hour)
	if mode(netA, ep1) != config.ModeLearn || mode(netA, "") != config.ModeEnforce || mode(netB, ep2) != config.ModeEnforce {
		t.Errorf("while it is learned: %s, network %s, others %s", mode(netA, ep1), mode(netA, ""), mode(netB, ep2))
	}
	if err := d.LearnPolicy(ctx, of, time.Hour, func() error { return nil }, nil); err == nil || !strings.Contains(err.Error(), "learned already") {
		t.Errorf("twice: %v", err)
	}
	inSync(t, f, d)
	log.packets <- firewall.Refused{Reason: firewall.Audited, Option: policy.OptionEgress, In: bridgeName(netB), Protocol: "tcp", From: netip.MustParseAddrPort("10.1.0.2:5000"), To: netip.MustParseAddrPort("9.9.9.9:443")}
	log.packets <- firewall.Refused{Reason: firewall.Audited, Option: policy.OptionEgress, In: bridgeName(netA), Protocol: "tcp", From: netip.MustParseAddrPort("10.0.0.2:5000"), To: netip.MustParseAddrPort("10.1.0.2:5432")}
	stop() // what has passed before is told behind that
	if err := <-done; err != nil || mode(netA, ep1) != "" {
		t.Errorf("interrupted: %v, and the container has %q", err, mode(netA, ep1))
	}
	if l := <-told; l.Flow != "tcp 10.0.0.2 -> 10.1.0.2:5432" {
		t.Errorf("told of %+v", l)
	}
	if l := <-told; l.Policy == nil || l.Flows != 1 || !l.Cut || l.Policy.Allow != "10.1.0.2:5432/tcp" {
		t.Errorf("learned until it was interrupted: %+v, %+v", l, l.Policy)
	}
	inSync(t, f, d)

	learnAgain(t, f, d, of, mode)
}

// learnAgain: the daemon dies while it learns, and the next one learns until its time is over.
func learnAgain(t *testing.T, f *fakeHost, d *Driver, of Whom, mode func(network, endpoint string) string) {
	t.Helper()
	d.o.DropLog = func() (DropLog, error) { return newFakeLog(), nil } // the first one was closed
	_, _ = startLearning(t, d, of, time.Hour)
	again := newTestDriver(t, f, "boot")
	if mode(netA, ep1) != "" {
		t.Errorf("after a restart the container has %q", mode(netA, ep1))
	}
	inSync(t, f, again)

	again.o.DropLog = func() (DropLog, error) { return newFakeLog(), nil }
	told, done := startLearning(t, again, of, 50*time.Millisecond)
	if err := <-done; err != nil || mode(netA, ep1) != "" {
		t.Errorf("at its end: %v, and the container has %q", err, mode(netA, ep1))
	}
	if l := <-told; l.Policy == nil || l.Policy.Egress != "deny" || l.Flows != 0 || l.Cut {
		t.Errorf("learned %+v", l)
	}
}

func startLearning(t *testing.T, d *Driver, of Whom, span time.Duration) (told chan Learned, done chan error) {
	t.Helper()
	return startLearningFor(t.Context(), t, d, of, span)
}

// startLearningFor returns when it is learned.
func startLearningFor(ctx context.Context, t *testing.T, d *Driver, of Whom, span time.Duration) (told chan Learned, done chan error) {
	t.Helper()
	told, done = make(chan Learned, 10), make(chan error, 1)
	started := make(chan struct{})
	go func() {
		done <- d.LearnPolicy(ctx, of, span, func() error { close(started); return nil }, func(l Learned) error {
			s, unlock := d.desired.Read()
			defer unlock()
			if l.Policy != nil && len(s.Learning) > 0 {
				t.Error("the policy is told, and all passes yet")
			}
			told <- l
			return nil
		})
	}()
	select {
	case <-started:
	case err := <-done:
		t.Fatal(err)
	}
	return told, done
}

// TestLessonNames: of what was asked for, and of networks of Gangway, the policy has the names; a
// port that is published is known by the host's.
func TestLessonNames(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")), d.CreateNetwork(t.Context(), networkRequest(netB, "10.1.0.0/24", "10.1.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	naming(t, d, netA, "app", netB, "db")
	l := learning{of: Whom{NetworkID: netA}}
	from := Party{Addr: netip.MustParseAddr("10.0.0.2"), NetworkID: netA, EndpointID: ep1}
	to := func(at, network string) Party {
		a := netip.MustParseAddrPort(at)
		return Party{Addr: a.Addr(), Port: a.Port(), NetworkID: network}
	}
	by := func(of policy.Option) PolicyEntry { return PolicyEntry{Entry: policy.Entry{Option: of}} }
	port := f.rulesPort(t)
	web := Party{Addr: from.Addr, Port: port.ContainerFirst, NetworkID: netA, EndpointID: ep1}
	for _, p := range []DroppedPacket{
		{Reason: firewall.Audited, Name: "a.example", From: from, Protocol: "udp", To: Party{Port: 53}, Answer: &firewall.Answer{Addrs: []netip.Addr{netip.MustParseAddr("9.9.9.9")}, Server: netip.MustParseAddr("192.0.2.53")}},
		{Reason: firewall.Audited, By: by(policy.OptionEgress), Protocol: "tcp", From: from, To: to("9.9.9.9:443", "")},
		{Reason: firewall.Audited, By: by(policy.OptionEgress), Protocol: "udp", From: from, To: to("10.1.0.9:53", netB)},
		{Reason: firewall.Audited, By: by(policy.OptionHost), Protocol: "udp", From: from, To: to("10.0.0.1:53", "")},
		{Reason: firewall.Audited, By: by(policy.OptionIngress), Protocol: "tcp", From: to("192.0.2.7:999", ""), To: web},
		{Reason: firewall.Policy, By: by(policy.OptionEgress), Protocol: "tcp", From: from, To: to("9.9.9.8:1", "")},
		{Reason: firewall.Audited, By: by(policy.OptionEgress), Protocol: "tcp", From: to("10.1.0.9:1", netB), To: to("9.9.9.8:1", "")},
	} {
		d.learn(&l, p)
	}
	got, err := l.lesson.Policy()
	must(t, err)
	want := config.Policy{Egress: "deny", Allow: "192.0.2.53:53/udp,a.example:443/tcp,network:db:53/udp", Ingress: "8080/tcp=192.0.2.7", Host: "53/udp"}
	if got != want {
		t.Errorf("learned %+v, want %+v", got, want)
	}
}

// rulesPort is the one port that is published.
func (f *fakeHost) rulesPort(t *testing.T) firewall.Port {
	t.Helper()
	all := rulesOf[firewall.Port](f)
	if len(all) == 0 {
		t.Fatal("no port is published")
	}
	return all[0]
}
