package trace

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/nftrace"
	"github.com/gangway-net/gangway/integration/nstest"
)

func TestMain(m *testing.M) { nstest.Main(m) }

func nft(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("nft", args...).CombinedOutput(); err != nil {
		t.Fatalf("nft %v: %v\n%s", args, err, out)
	}
}

// listen has somebody listen on TCP.
func listen(t *testing.T, at string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

func said(s Seen, text string) bool {
	return slices.ContainsFunc(s.Steps, func(s Step) bool { return strings.Contains(s.Text, text) })
}

// TestProbe: one connection is opened, and its way and answer are told, in both families.
func TestProbe(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		to := listen(t, at)
		seen, err := Follow(t.Context(), Flow{Protocol: "tcp", From: Party{Host: true}, Destination: to}, Options{Probe: true, For: 10 * time.Second})
		if err != nil || seen.Verdict != Accepted || seen.Answer != accepted || seen.Packets != 1 || !said(seen, "for a program of the host") {
			t.Errorf("%s: %v, %+v", at, err, seen)
		}
		closed := netip.AddrPortFrom(to.Addr(), 9)
		seen, err = Follow(t.Context(), Flow{Protocol: "tcp", From: Party{Host: true}, Destination: closed}, Options{Probe: true, For: 10 * time.Second})
		if err != nil || seen.Verdict != Accepted || !strings.HasPrefix(seen.Answer, "refused") {
			t.Errorf("%s: %v, %+v", closed, err, seen)
		}
	}
}

// TestProbeAlone: what others send to the same port meanwhile is not followed.
func TestProbeAlone(t *testing.T) {
	to := listen(t, "127.0.0.1:0")
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
			}
			if c, err := net.Dial("tcp", to.String()); err == nil {
				c.Close()
			}
		}
	}()
	seen, err := Follow(t.Context(), Flow{Protocol: "tcp", From: Party{Host: true}, Destination: to}, Options{Probe: true, For: 10 * time.Second})
	close(done)
	<-ended
	if err != nil || seen.Packets != 1 || seen.Answer != accepted {
		t.Errorf("%v, %+v", err, seen)
	}
}

// TestDropped: the rule is named in words.
func TestDropped(t *testing.T) {
	nft(t, "add table ip other")
	defer nft(t, "delete table ip other")
	nft(t, "add chain ip other in { type filter hook input priority 0; }")
	nft(t, "add rule ip other in udp dport 8000 counter drop")
	seen, err := Follow(t.Context(), Flow{Protocol: "udp", From: Party{Host: true}, Destination: netip.MustParseAddrPort("127.0.0.1:8000")}, Options{Probe: true, For: 300 * time.Millisecond})
	if err != nil || seen.Verdict != Dropped || !said(seen, "dropped by ip other in rule 1 (udp dport 8000 drop)") {
		t.Errorf("%v, %+v", err, seen)
	}
	path := os.Getenv("PATH")
	t.Setenv("PATH", "") // without the program nft
	seen, err = Follow(t.Context(), Flow{Protocol: "udp", From: Party{Host: true}, Destination: netip.MustParseAddrPort("127.0.0.1:8000")}, Options{Probe: true, For: 300 * time.Millisecond})
	if err != nil || seen.Verdict != Dropped || !said(seen, "dropped by ip other in rule with handle 2") {
		t.Errorf("without nft: %v, %+v", err, seen)
	}
	t.Setenv("PATH", path)
}

// legacy runs iptables-legacy or ip6tables-legacy.
func legacy(t *testing.T, six bool, args ...string) {
	t.Helper()
	program := "iptables-legacy"
	if six {
		program = "ip6tables-legacy"
	}
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}

// TestLegacy: of iptables-legacy it is told what has counted packets, and what of that drops,
// where the kernel reports the rest and where it reports nothing.
func TestLegacy(t *testing.T) {
	for at, six := range map[string]bool{"127.0.0.1": false, "::1": true} {
		t.Run(at, func(t *testing.T) { legacyDrops(t, at, six) })
	}
	path := os.Getenv("PATH")
	t.Setenv("PATH", "")
	defer t.Setenv("PATH", path)
	if _, notes := count(t.Context(), legacyPrograms(false)); len(notes) != 1 || !strings.Contains(notes[0], "iptables-legacy, as that program is not installed") {
		t.Errorf("without the program: %q", notes)
	}
}

func legacyDrops(t *testing.T, at string, six bool) {
	drop := []string{"INPUT", "-p", "udp", "--dport", "8000", "-j", "DROP"}
	legacy(t, six, append([]string{"-A"}, drop...)...)
	defer legacy(t, six, append([]string{"-D"}, drop...)...)
	name := legacyPrograms(six)[0]
	f := Flow{Protocol: "udp", From: Party{Host: true}, Destination: netip.AddrPortFrom(netip.MustParseAddr(at), 8000)}
	o := Options{Probe: true, For: 300 * time.Millisecond}
	seen, err := Follow(t.Context(), f, o)
	line := name + " filter INPUT rule 1 (-p udp -m udp --dport 8000 -j DROP) has counted meanwhile: 1, whoever sent it; it drops what it counts"
	if err != nil || seen.Verdict != Dropped || !said(seen, line) || len(seen.Notes) > 0 {
		t.Errorf("%v, %+v, want %q", err, seen, line)
	}
	probe, _, err := open(f)
	if err != nil {
		t.Fatal(err)
	}
	defer probe.close()
	seen, err = countOnly(t.Context(), f, o, probe, nftrace.ErrNoOwner)
	if err != nil || seen.Verdict != Dropped || !said(seen, line) || len(seen.Notes) != 1 {
		t.Errorf("without reports: %v, %+v, want %q", err, seen, line)
	}
	to := listen(t, net.JoinHostPort(at, "0"))
	seen, err = Follow(t.Context(), Flow{Protocol: "tcp", From: Party{Host: true}, Destination: to}, Options{Probe: true, For: 10 * time.Second})
	if err != nil || seen.Verdict != Accepted || said(seen, "it drops what it counts") || !said(seen, name+" filter INPUT (its policy, accept) has counted meanwhile: ") {
		t.Errorf("to another port: %v, %+v", err, seen)
	}
}

// TestSomebodysPacket: what comes while it waits is followed; where nothing comes it says so.
func TestSomebodysPacket(t *testing.T) {
	to := listen(t, "127.0.0.1:0")
	f := Flow{Protocol: "tcp", From: Party{Addr: netip.MustParseAddr("127.0.0.1")}, Source: netip.MustParseAddr("127.0.0.1"), Destination: to}
	seen, err := Follow(t.Context(), f, Options{For: 10 * time.Second, Waiting: func() {
		c, err := net.Dial("tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}})
	if err != nil || seen.Verdict != Accepted || seen.Packets != 1 {
		t.Errorf("%v, %+v", err, seen)
	}
	seen, err = Follow(t.Context(), f, Options{For: 10 * time.Millisecond, Waiting: func() {}})
	if err != nil || seen.Verdict != Dropped || seen.Packets != 0 || !said(seen, "no packet came") {
		t.Errorf("nothing came: %v, %+v", err, seen)
	}
}

// TestNoWay: a destination without a route is an error that names it.
func TestNoWay(t *testing.T) {
	if _, err := Source(Party{Host: true}, netip.MustParseAddrPort("198.51.100.1:80")); err == nil || !strings.Contains(err.Error(), "no way to 198.51.100.1") {
		t.Errorf("got %v", err)
	}
}
