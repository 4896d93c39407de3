package driver

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/gangway-net/gangway/driver/firewall"
)

// fakeLog is the kernel's.
type fakeLog struct {
	packets chan firewall.Refused
	over    chan struct{}
	once    sync.Once
}

func newFakeLog() *fakeLog {
	return &fakeLog{packets: make(chan firewall.Refused), over: make(chan struct{})}
}

func (f *fakeLog) Next() (firewall.Refused, error) {
	select {
	case p := <-f.packets:
		return p, nil
	case <-f.over:
		return firewall.Refused{}, errors.New("closed")
	}
}

func (f *fakeLog) Close() { f.once.Do(func() { close(f.over) }) }

// watcher is one call of FollowDrops.
type watcher struct {
	stop    context.CancelFunc
	packets chan DroppedPacket
	// hold, while it is locked, keeps it from taking more.
	hold sync.Mutex
	done chan error
}

func follow(t *testing.T, d *Driver) *watcher {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &watcher{stop: stop, packets: make(chan DroppedPacket, 2*lookerQueue), done: make(chan error, 1)}
	started := make(chan struct{})
	go func() {
		w.done <- d.FollowDrops(ctx, func() error { close(started); return nil }, func(p DroppedPacket) error {
			w.hold.Lock()
			defer w.hold.Unlock()
			w.packets <- p
			return nil
		})
	}()
	select {
	case <-started:
	case err := <-w.done:
		t.Fatalf("follow: %v", err)
	}
	return w
}

func (w *watcher) end(t *testing.T) {
	t.Helper()
	w.stop()
	must(t, <-w.done)
}

// TestFollowDrops: the rules log while somebody looks, whoever leaves first, and everybody is
// told of each packet, with whose it is.
func TestFollowDrops(t *testing.T) {
	f, d := withContainer(t)
	logs := []*fakeLog{newFakeLog(), newFakeLog()}
	opened := 0
	d.o.DropLog = func() (DropLog, error) { opened++; return logs[opened-1], nil }
	first, second := follow(t, d), follow(t, d)
	if got := rulesOf[firewall.Log](f); len(got) != 1 || opened != 1 {
		t.Fatalf("rules that log: %v, opened %d times", got, opened)
	}
	inSync(t, f, d)
	first.end(t)
	if got := rulesOf[firewall.Log](f); len(got) != 1 {
		t.Error("the log ends with the first who leaves")
	}
	bridge := d.Networks(t.Context())[0].Bridge
	addr := netip.MustParseAddrPort
	for _, r := range []firewall.Refused{
		{Reason: firewall.Unpublished, Protocol: "tcp", In: "eth0", Out: bridge, From: addr("192.0.2.9:4000"), To: addr("10.0.0.2:81")},
		{Reason: firewall.Isolated, Protocol: "udp", In: bridge, Out: "gw-other", From: addr("10.0.0.2:53"), To: addr("10.9.0.2:5353")},
		{Reason: firewall.Spoofed, Protocol: "icmp", In: bridge, From: addr("10.0.0.2:0"), To: addr("10.0.0.2:0"), Lost: 3},
	} {
		logs[0].packets <- r
	}
	got := []DroppedPacket{<-second.packets, <-second.packets, <-second.packets}
	ip := netip.MustParseAddr
	want := []DroppedPacket{
		{
			Reason: firewall.Unpublished, Protocol: "tcp", From: Party{Addr: ip("192.0.2.9"), Port: 4000, Interface: "eth0"},
			To: Party{Addr: ip("10.0.0.2"), Port: 81, Interface: bridge, NetworkID: netA, EndpointID: ep1},
		},
		{
			Reason: firewall.Isolated, Protocol: "udp", From: Party{Addr: ip("10.0.0.2"), Port: 53, Interface: bridge, NetworkID: netA, EndpointID: ep1},
			To: Party{Addr: ip("10.9.0.2"), Port: 5353, Interface: "gw-other"},
		},
		{
			Reason: firewall.Spoofed, Protocol: "icmp", From: Party{Addr: ip("10.0.0.2"), Interface: bridge, NetworkID: netA},
			To: Party{Addr: ip("10.0.0.2"), NetworkID: netA, EndpointID: ep1}, Lost: 3,
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("packets (-want +got):\n%s", diff)
	}
	second.end(t)
	if got := rulesOf[firewall.Log](f); len(got) != 0 {
		t.Errorf("nobody looks, and the rules log: %v", got)
	}
	<-logs[0].over
	inSync(t, f, d)
	// A log that ends by itself is an error, and the next one is another one.
	third := follow(t, d)
	logs[1].Close()
	if err := <-third.done; err == nil {
		t.Error("a log that ended is no error")
	}
	if got := rulesOf[firewall.Log](f); len(got) != 0 || opened != 2 {
		t.Errorf("after that the rules log: %v, opened %d times", got, opened)
	}
}

// TestFollowDropsSlow: who does not take packets holds up nobody, and is told how many were
// left out.
func TestFollowDropsSlow(t *testing.T) {
	_, d := withContainer(t)
	log := newFakeLog()
	d.o.DropLog = func() (DropLog, error) { return log, nil }
	slow := follow(t, d)
	slow.hold.Lock()
	const more = 50
	for range lookerQueue + more {
		log.packets <- firewall.Refused{Reason: firewall.Isolated}
	}
	slow.hold.Unlock()
	told := uint64(0)
	for told < lookerQueue {
		told += 1 + (<-slow.packets).Lost
	}
	// The next one tells of what was left out.
	log.packets <- firewall.Refused{Reason: firewall.Isolated}
	for told < lookerQueue+more+1 {
		told += 1 + (<-slow.packets).Lost
	}
	if told != lookerQueue+more+1 {
		t.Errorf("%d packets told or lost, want %d", told, lookerQueue+more+1)
	}
	slow.end(t)
}

// TestFollowDropsFails: what cannot be opened or logged is an error, and leaves nothing.
func TestFollowDropsFails(t *testing.T) {
	f, d := withContainer(t)
	none := func() error { t.Error("started"); return nil }
	if err := d.FollowDrops(t.Context(), none, nil); err == nil {
		t.Error("without a log there is no error")
	}
	log := newFakeLog()
	d.o.DropLog = func() (DropLog, error) { return log, nil }
	f.failAt = f.ops + 1
	if err := d.FollowDrops(t.Context(), none, nil); err == nil {
		t.Error("rules that cannot be changed are no error")
	}
	<-log.over
	if n := len(d.lookers.queues); n > 0 {
		t.Errorf("%d look", n)
	}
}
