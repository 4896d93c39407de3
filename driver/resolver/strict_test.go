package resolver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/testkit"
)

// TestStrict: of what is sent to an address of an allowed name, that arrives which says this
// very name, in both families, from the host's address; nothing else does.
func TestStrict(t *testing.T) {
	w := newStrictTown(t)
	four, six := "198.51.100.7:8443", "[2001:db8:9::7]:8443"
	byAddress := strictPolicy
	byAddress.Names = ""
	w.police(false, townBindings(byAddress))
	w.asks("2", "registry.wild.example")
	w.quic("2")
	if !w.passes("2", four, "any.example", false) || w.datagrams.Load() != 2 {
		t.Fatalf("by address not everything arrives: %d datagrams", w.datagrams.Load())
	}
	w.wantServed("any.example for 10.1.0.2")
	w.turn(byAddress, strictPolicy)
	refused := w.r.Refusals()
	defer refused.Close()
	w.saysNames(refused, four, "192.0.2.1")
	w.saysNames(refused, six, "2001:db8::1")
	if w.passes("3", four, "registry.wild.example", false) || w.passes("4", four, "registry.wild.example", false) {
		t.Error("who has not asked gets there")
	}
	w.quic("2")
	w.wantServed()
	if n := w.datagrams.Load(); n != 2 {
		t.Errorf("%d datagrams arrived", n-2)
	}
	w.asks("2", "shares.wild.example")
	if !w.passes("2", four, "shares.wild.example", false) || !w.passes("2", four, "registry.wild.example", false) {
		t.Error("of two names of an address one is refused")
	}
	w.asks("2", "shut.wild.example")
	if w.forget(); w.passes("2", "198.51.100.66:8443", "shut.wild.example", false) {
		t.Error("what rules would not let pass is passed on")
	}
	w.wantServed()
	w.strictHTTP()
	w.onlyRedirected()
	w.countsRefusals()
}

// saysNames: of what is said to an address, the name that it was learned of passes, however the
// ClientHello is cut; others are refused, and told.
func (w *strictTown) saysNames(refused *Follower, to, from string) {
	w.t.Helper()
	for _, cut := range []bool{false, true} {
		if _, err := w.secure("2", to, "registry.wild.example", cut); err != nil {
			w.t.Errorf("%s: %v", to, err)
		}
		w.wantServed("registry.wild.example for " + from)
	}
	for _, name := range []string{"other.example", "shares.wild.example", "far.wild.example", ""} {
		_, err := w.secure("2", to, name, false)
		if err == nil || !strings.Contains(err.Error(), "access denied") {
			w.t.Errorf("%q at %s: %v", name, to, err)
		}
		if told := <-refused.Names(); told.Reason != firewall.Policy || told.Option != policy.OptionNames || told.To.String() != to || name != "" && told.Name != name {
			w.t.Errorf("told of %q: %+v", name, told)
		}
	}
}

// countsRefusals: what was refused is counted by container.
func (w *strictTown) countsRefusals() {
	w.t.Helper()
	counted := 0
	all, err := w.r.Refused(w.t.Context())
	for _, r := range all {
		if r.Reason == firewall.Policy && r.Option == policy.OptionNames && r.Addr.String() == "10.1.0.2" {
			counted += int(r.Packets)
		}
	}
	if err != nil || counted < 4 {
		w.t.Errorf("%d refusals of 10.1.0.2 are counted: %+v (%v)", counted, all, err)
	}
}

// quic sends datagrams as browsers do, in both families.
func (w *strictTown) quic(room string) {
	w.t.Helper()
	before := w.datagrams.Load()
	for _, to := range []string{"198.51.100.7:8443", "[2001:db8:9::7]:8443"} {
		_ = w.rooms[room].do(func() error {
			conn, err := net.Dial("udp", to)
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write([]byte("initial"))
			_ = conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			_, _ = conn.Read(make([]byte, 1))
			return err
		})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.t.Logf("%d datagrams arrived", w.datagrams.Load()-before)
}

// turn changes the network's policy, and has a container ask anew.
func (w *strictTown) turn(was, is config.Policy) {
	w.t.Helper()
	w.change(was, is)
	w.asks("2", "registry.wild.example")
}

// change changes it, and ends flows as the daemon does.
func (w *strictTown) change(was, is config.Policy) {
	w.t.Helper()
	at, err := w.r.Follow(townBindings(was)[:1], townBindings(is)[:1])
	if err != nil {
		w.t.Fatal(err)
	}
	w.connections = at.Connections
	w.table.Serve(at)
	if err = w.table.Apply(w.t.Context(), townBindings(was)[:1], townBindings(is)[:1], false); err != nil {
		w.t.Fatal(err)
	}
	w.endForbidden()
}

func (w *strictTown) endForbidden() {
	w.t.Helper()
	now, _ := w.table.Told()
	if err := w.host.flows.DropForbidden(w.t.Context(), policy.NewJudge(now, nil).Knowing(w.table.Names)); err != nil {
		w.t.Error(err)
	}
}

// strictHTTP: each request of a connection says an allowed host, or the connection ends.
func (w *strictTown) strictHTTP() {
	w.t.Helper()
	err := w.rooms["2"].do(func() error {
		conn, err := net.DialTimeout("tcp", "198.51.100.7:8080", 3*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		answers := bufio.NewReader(conn)
		for _, host := range []string{"registry.wild.example", "shares.wild.example:8080", "registry.wild.example"} {
			if _, err = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", host); err != nil {
				return err
			}
			a, failed := http.ReadResponse(answers, nil)
			if failed != nil {
				return failed
			}
			if b, _ := io.ReadAll(a.Body); string(b) != host {
				return fmt.Errorf("%q answers for %q", b, host)
			}
		}
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")
		if _, err = http.ReadResponse(answers, nil); err == nil {
			return errors.New("another host answers")
		}
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	w.wantServed("registry.wild.example for 192.0.2.1", "shares.wild.example:8080 for 192.0.2.1", "registry.wild.example for 192.0.2.1")
}

// onlyRedirected: nobody reaches what reads but by an address of a name.
func (w *strictTown) onlyRedirected() {
	w.t.Helper()
	w.rooms["out"] = w.out
	for room, to := range map[string][]string{
		"2": {"10.1.0.1", "192.0.2.1", "[fd00:1::1]", "[2001:db8::1]"}, "4": {"10.1.0.1", "[fd00:1::1]"}, "out": {"192.0.2.1", "[2001:db8::1]", "10.1.0.1"},
	} {
		for _, at := range to {
			err := w.rooms[room].do(func() error {
				conn, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", at, w.connections), 700*time.Millisecond)
				if err == nil {
					_ = conn.Close()
				}
				return err
			})
			if err == nil {
				w.t.Errorf("room %s reaches %s port %d", room, at, w.connections)
			}
		}
	}
	if conn, err := net.DialTimeout("tcp", fmt.Sprint("10.1.0.1:", w.connections), 700*time.Millisecond); err == nil {
		_ = conn.Close()
		w.t.Error("the host itself reaches it")
	}
}

// TestStrictChanges: flows that nobody has read end when names become strict; what loses its
// rules is closed; without the daemon nothing passes, and after its restart all does.
func TestStrictChanges(t *testing.T) {
	w := newStrictTown(t)
	to := "198.51.100.7:8443"
	byAddress := strictPolicy
	byAddress.Names = ""
	w.police(true, townBindings(byAddress))
	w.asks("2", "registry.wild.example")
	direct, err := w.secure("2", to, "registry.wild.example", false)
	if err != nil {
		t.Fatal(err)
	}
	w.turn(byAddress, strictPolicy)
	if echoed(direct) == nil {
		t.Error("a flow goes on that nobody has read")
	}
	read, err := w.secure("2", to, "registry.wild.example", false)
	if err != nil {
		t.Fatal(err)
	}
	if w.endForbidden(); echoed(read) != nil {
		t.Error("a flow that was read is ended")
	}
	sh(t, "nft flush chain inet gangway-policy strict")
	if w.forget(); w.passes("2", to, "registry.wild.example", false) || w.passes("2", to, "other.example", false) {
		t.Error("what is not redirected passes")
	}
	w.wantServed()
	if lines, err := w.table.Repair(t.Context()); err != nil || len(lines) == 0 {
		t.Errorf("%q (%v)", lines, err)
	}
	if !w.passes("2", to, "registry.wild.example", false) {
		t.Error("what was repaired does not pass")
	}
	w.turn(strictPolicy, byAddress)
	if echoed(read) != nil {
		t.Error("a policy that allows more ends a connection")
	}
	w.turn(byAddress, strictPolicy)
	none := strictPolicy
	none.Allow = "plain.example:8443"
	w.change(strictPolicy, none)
	if echoed(read) == nil || w.passes("2", to, "registry.wild.example", false) {
		t.Error("a name that is allowed no more is reached")
	}
	w.turn(none, strictPolicy)
	w.r.Close()
	w.table.Close()
	if w.forget(); w.passes("2", to, "registry.wild.example", false) {
		t.Error("without the daemon a connection passes")
	}
	w.wantServed()
	w.police(true, townBindings(strictPolicy))
	testkit.Eventually(t, "names after a restart", func() bool { return w.passes("2", to, "registry.wild.example", false) })
	if w.table.Knows(policy.Who{Addr: netip.MustParseAddr("10.1.0.2")}, netip.MustParseAddr("198.51.100.7"), "other.example") {
		t.Error("a name is known that nobody has learned")
	}
}
