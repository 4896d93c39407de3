package resolver

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/testkit"
)

// TestNames: a container that asks anybody for an allowed name reaches its addresses at once,
// by the ports of the entry, in both families, by UDP and TCP; nobody else's and nothing else.
func TestNames(t *testing.T) {
	w := newTown(t)
	if !w.connects("2", "198.51.100.9:443") {
		t.Fatal("without a policy nothing arrives")
	}
	testkit.Eventually(t, "a connection is counted", func() bool { return w.count("198.51.100.9:443") == 1 })
	w.police(false, townBindings(townPolicy))
	w.refused("2", "198.51.100.7:443")
	w.askAll()
	if !w.connects("2", "198.51.100.7:443") {
		t.Error("an allowed name is not reached")
	}
	testkit.Eventually(t, "what is allowed is counted", func() bool { return w.count("198.51.100.7:443") == 1 })
	w.refused("2", "198.51.100.7:80")
	w.refused("2", "198.51.100.9:443")
	w.refused("3", "198.51.100.7:443") // it has not asked
	if m, err := w.ask("2", "udp", "10.1.0.1:53", "registry.wild.example", dns.TypeAAAA); err != nil || len(m.Answer) != 2 || !w.connects("2", "[2001:db8:9::7]:443") {
		t.Errorf("by IPv6: %v (%v)", m, err)
	}
	w.refused("2", "192.0.2.2:853")
	for i := range 100 { // each at once behind its answer
		m, err := w.ask("3", "udp", "9.9.9.9:53", fmt.Sprintf("n%d.wild.example", i), dns.TypeA)
		if err != nil || len(m.Answer) != 1 || !w.connects("3", m.Answer[0].(*dns.A).A.String()+":443") {
			t.Fatalf("name %d: %v (%v)", i, m, err)
		}
	}
	w.large()
	w.plainName()
	w.closedToOthers()
	w.away()
}

// refused: nothing of a room arrives at an address.
func (w *town) refused(room, to string) {
	w.t.Helper()
	before := w.count(to)
	if w.connects(room, to) || w.count(to) != before {
		w.t.Errorf("room %s reaches %s", room, to)
	}
}

// askAll: whoever is asked, the resolver answers.
func (w *town) askAll() {
	w.t.Helper()
	for _, c := range []struct{ network, server string }{{"udp", "8.8.8.8:53"}, {"tcp", "8.8.8.8:53"}, {"udp", "10.1.0.1:53"}, {"udp", "192.0.2.1:53"}, {"udp", "[2001:db8:77::8]:53"}, {"tcp", "[fd00:1::1]:53"}} {
		m, err := w.ask("2", c.network, c.server, "registry.wild.example", dns.TypeA)
		if err != nil || len(m.Answer) != 2 {
			w.t.Fatalf("%+v: %v (%v)", c, m, err)
		}
		if m, err = w.ask("2", c.network, c.server, "other.example", dns.TypeA); err != nil || m.Rcode != dns.RcodeRefused {
			w.t.Errorf("%+v: a name that is not allowed: %v (%v)", c, m, err)
		}
	}
}

// large: what does not fit into a datagram is said so, and comes whole by TCP.
func (w *town) large() {
	w.t.Helper()
	m, err := w.ask("2", "udp", "9.9.9.9:53", "big.wild.example", dns.TypeA)
	if err != nil || !m.Truncated && len(m.Answer) != 60 {
		w.t.Errorf("by UDP: %v (%v)", m, err)
	}
	if m, err = w.ask("2", "tcp", "9.9.9.9:53", "big.wild.example", dns.TypeA); err != nil || m.Truncated || len(m.Answer) != 60 {
		w.t.Errorf("by TCP: %v (%v)", m, err)
	}
	if !w.connects("2", "198.51.100.179:443") {
		w.t.Error("the last of many addresses is closed")
	}
}

// plainName: names that stand for themselves are open without a question.
func (w *town) plainName() {
	w.t.Helper()
	testkit.Eventually(w.t, "plain.example is reached", func() bool { return w.connects("2", "198.51.100.8:443") })
	if w.connects("4", "198.51.100.8:443") {
		w.t.Error("a container with another policy reaches it")
	}
}

// closedToOthers: the resolver answers nobody but containers with names, by their questions.
func (w *town) closedToOthers() {
	w.t.Helper()
	port := fmt.Sprint(w.port)
	asked := len(w.server.names())
	w.rooms["out"] = w.out
	w.patience = time.Second
	defer func() { w.patience = 5 * time.Second }()
	for _, c := range []struct{ room, network, server string }{
		{"out", "udp", "192.0.2.1:" + port}, {"out", "tcp", "192.0.2.1:" + port}, {"out", "udp", "10.1.0.1:" + port}, {"2", "udp", "10.1.0.1:" + port}, {"2", "tcp", "[fd00:1::1]:" + port},
		{"4", "udp", "8.8.8.8:53"}, {"4", "udp", "10.1.0.1:53"}, {"4", "tcp", "192.0.2.1:" + port},
	} {
		if m, err := w.ask(c.room, c.network, c.server, "registry.wild.example", dns.TypeA); err == nil {
			w.t.Errorf("%+v is answered: %v", c, m)
		}
	}
	if conn, err := net.DialTimeout("tcp", "10.1.0.1:"+port, time.Second); err == nil {
		_ = conn.Close()
		w.t.Error("the host itself is answered")
	}
	if n := len(w.server.names()); n != asked {
		w.t.Errorf("%d questions of others were passed on", n-asked)
	}
}

// away: without the daemon names are refused at once, and what was learned stays.
func (w *town) away() {
	w.t.Helper()
	w.r.Close()
	w.table.Close()
	if _, err := w.ask("2", "udp", "8.8.8.8:53", "registry.wild.example", dns.TypeA); !errors.Is(err, unix.ECONNREFUSED) {
		w.t.Errorf("without the daemon: %v", err)
	}
	if !w.connects("2", "198.51.100.7:443") || w.connects("2", "198.51.100.9:443") {
		w.t.Error("what was learned does not stay, or more is open")
	}
	w.police(false, townBindings(townPolicy))
	if !w.connects("2", "198.51.100.7:443") || w.connects("3", "198.51.100.7:443") {
		w.t.Error("what was learned is not there after a restart")
	}
	who := policy.Who{Addr: netip.MustParseAddr("10.1.0.2")}
	if got := w.table.Names(who, netip.MustParseAddr("198.51.100.7")); len(got) != 1 || got[0] != "registry.wild.example" {
		w.t.Errorf("a daemon that comes back knows the names %q", got)
	}
}

// TestNamesFlows: a flow that began by a name goes on, whatever ends flows that policies
// forbid, until the policy has the name no more.
func TestNamesFlows(t *testing.T) {
	w := newTown(t)
	all := townBindings(townPolicy)
	w.police(true, all)
	if _, err := w.ask("2", "udp", "8.8.8.8:53", "registry.wild.example", dns.TypeA); err != nil {
		t.Fatal(err)
	}
	var conn net.Conn
	if err := w.rooms["2"].do(func() (err error) {
		conn, err = net.DialTimeout("tcp", "198.51.100.7:443", 3*time.Second)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	echoes := func() bool {
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := conn.Write([]byte{1}); err != nil {
			return false
		}
		_, err := conn.Read(make([]byte, 1))
		return err == nil
	}
	end := func() {
		now, _ := w.table.Told()
		if err := w.host.flows.DropForbidden(t.Context(), policy.NewJudge(now, nil).Knowing(w.table.Names)); err != nil {
			t.Error(err)
		}
	}
	end()
	if !echoes() {
		t.Fatal("a flow that a name allows was ended")
	}
	w.mended()
	end()
	if !echoes() {
		t.Fatal("a flow that a name allows was ended after a repair")
	}
	next := townPolicy
	next.Allow = "plain.example:443"
	if _, err := w.r.Follow(all[:1], townBindings(next)[:1]); err != nil {
		t.Fatal(err)
	}
	if err := w.table.Apply(t.Context(), all[:1], townBindings(next)[:1], false); err != nil {
		t.Fatal(err)
	}
	end()
	if echoes() || w.connects("2", "198.51.100.7:443") {
		t.Error("a name that is allowed no more is reached")
	}
}

// mended: what others do to what was learned is repaired and told, and it is no damage itself.
func (w *town) mended() {
	w.t.Helper()
	sh(w.t, "nft flush ruleset")
	if lines, err := w.table.Repair(w.t.Context()); err != nil || len(lines) != 1 {
		w.t.Errorf("%q (%v)", lines, err)
	}
	if !w.connects("2", "198.51.100.7:443") || w.connects("3", "198.51.100.7:443") {
		w.t.Errorf("what was learned is not back after a flush: %s", sh(w.t, "nft list table inet gangway-policy | grep -A9 named"))
	}
	sh(w.t, "nft flush set inet gangway-policy named4")
	if lines, err := w.table.Repair(w.t.Context()); err != nil || len(lines) != 1 || !strings.Contains(lines[0], "set named4 lacked 1 elements") {
		w.t.Errorf("%q (%v)", lines, err)
	}
	sh(w.t, "nft add element inet gangway-policy named4 { 10.1.0.3 . 198.51.100.9 . tcp . 443 . 443 timeout 1h }")
	if lines, err := w.table.Repair(w.t.Context()); err != nil || len(lines) != 1 || !strings.Contains(lines[0], "set named4 lacked 0 elements, had 1 others") {
		w.t.Errorf("%q (%v)", lines, err)
	}
	if !w.connects("2", "198.51.100.7:443") || w.connects("3", "198.51.100.9:443") {
		w.t.Error("a set is not as it was learned")
	}
	if lines, err := w.table.Repair(w.t.Context()); err != nil || len(lines) != 0 {
		w.t.Errorf("what is learned is told as damage: %q (%v)", lines, err)
	}
}

// TestNamesFlood: one container that asks for everything at once, of a server that does not
// answer, keeps nobody else from being answered.
func TestNamesFlood(t *testing.T) {
	w := newTown(t)
	w.police(false, townBindings(townPolicy))
	w.patience = time.Second
	var stop atomic.Bool
	var floods sync.WaitGroup
	hold := make(chan struct{})
	w.server.mu.Lock()
	w.server.hold = func(name string) <-chan struct{} {
		if strings.HasPrefix(name, "flood") {
			return hold
		}
		return nil
	}
	w.server.mu.Unlock()
	defer floods.Wait()
	defer close(hold)
	defer stop.Store(true)
	for n := range 4 {
		floods.Go(func() {
			_ = w.rooms["3"].do(func() error {
				for i := 0; !stop.Load(); i++ {
					conn, err := net.Dial("udp", "8.8.8.8:53")
					if err != nil {
						continue
					}
					b, _ := questionFor(fmt.Sprintf("flood%d-%d.wild.example", n, i), dns.TypeA).Pack()
					for range 50 {
						_, _ = conn.Write(b)
					}
					_ = conn.Close()
				}
				return nil
			})
		})
	}
	testkit.Eventually(t, "the flood to fill its part", func() bool {
		w.r.shares.mu.Lock()
		defer w.r.shares.mu.Unlock()
		return w.r.shares.used[netip.MustParseAddr("10.1.0.3")] == mostOfContainer
	})
	for i := range 20 {
		var m *dns.Msg
		var err error
		for range 3 { // as clients do: a flood fills queues on the way as well
			if m, err = w.ask("2", "udp", "8.8.8.8:53", fmt.Sprintf("n%d.wild.example", i), dns.TypeA); err == nil {
				break
			}
		}
		if err != nil || len(m.Answer) != 1 {
			t.Errorf("beside a flood: %v (%v)", m, err)
		}
	}
	w.r.shares.mu.Lock()
	defer w.r.shares.mu.Unlock()
	if w.r.shares.total > mostOfContainer+1 {
		t.Errorf("%d questions are answered at a time", w.r.shares.total)
	}
}
