package nftrace

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// holdEnv has the test binary hold a switch until it is killed.
const holdEnv = "GANGWAY_NFTRACE_HOLD"

func TestMain(m *testing.M) {
	if os.Getenv(holdEnv) != "" {
		if _, err := On(loopback()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("on")
		select {}
	}
	nstest.Main(m)
}

// loopback is a flow to a port of the host's own.
func loopback() Flow {
	return Flow{Protocol: unix.IPPROTO_UDP, Destination: netip.MustParseAddr("127.0.0.1"), Port: 8000}
}

// send sends a datagram.
func send(t *testing.T, to string) {
	t.Helper()
	c, err := net.Dial("udp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err = c.Write([]byte("x")); err != nil && !errors.Is(err, unix.EPERM) { // what is dropped at output
		t.Fatal(err)
	}
}

func nft(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("nft", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nft %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// heard returns all events until one makes done true.
func heard(t *testing.T, l *Listener, done func(Event) bool) (all []Event) {
	t.Helper()
	testkit.Eventually(t, "the reports", func() bool {
		some, err := l.Events(100 * time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
		return slices.ContainsFunc(all, done)
	})
	return all
}

// TestOwner: where a table cannot go with its owner, nothing is turned on.
func TestOwner(t *testing.T) {
	s, err := On(loopback())
	switch {
	case testkit.KernelHas(5, 12) && err != nil:
		t.Error(err)
	case !testkit.KernelHas(5, 12) && !errors.Is(err, ErrNoOwner):
		t.Errorf("got %v, want that this kernel has no owners", err)
	}
	if err == nil {
		s.Off()
	}
	if tables := nft(t, "list", "tables"); strings.Contains(tables, Prefix) {
		t.Errorf("tables that are left:\n%s", tables)
	}
}

// TestTrace: the steps of the flow are told, those of no other one, and none after the end.
func TestTrace(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	nft(t, "add table ip other")
	defer nft(t, "delete table ip other")
	nft(t, "add chain ip other in { type filter hook input priority 0; }")
	nft(t, "add rule ip other in udp dport 8000 counter drop")
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := On(loopback())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Off()
	send(t, "127.0.0.1:8001")
	send(t, "127.0.0.1:8000")
	all := heard(t, l, func(e Event) bool { return e.Drops() })
	if !s.Starts(all[0]) || all[0].Chain != chainOut || all[0].Destination != netip.MustParseAddrPort("127.0.0.1:8000") {
		t.Errorf("it starts with %+v", all[0])
	}
	if !slices.ContainsFunc(all, func(e Event) bool { ends, up := s.Ends(e); return ends && !up }) ||
		!slices.ContainsFunc(all, func(e Event) bool { return e.Chain == chainEnd && e.Out == 1 }) {
		t.Errorf("no end of the way out by lo in %+v", all)
	}
	last := all[len(all)-1]
	if last.Where() != "ip other in" || !last.Matched() || last.Handle == 0 || !last.Drops() {
		t.Errorf("it ends with %+v", last)
	}
}

// TestOff: nothing is told when it is off, and nothing is left.
func TestOff(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, err := On(loopback())
	if err != nil {
		t.Fatal(err)
	}
	if !s.Bridged {
		t.Error("bridges are not traced")
	}
	if tables := nft(t, "list", "tables"); strings.Count(tables, Prefix) != 2 {
		t.Errorf("tables while it is on:\n%s", tables)
	}
	s.Off()
	if tables := nft(t, "list", "tables"); strings.Contains(tables, Prefix) {
		t.Errorf("tables when it is off:\n%s", tables)
	}
	send(t, "127.0.0.1:8000")
	if some, err := l.Events(100 * time.Millisecond); err != nil || len(some) > 0 {
		t.Errorf("heard when it is off: %+v, %v", some, err)
	}
}

// TestUp: what a program of the host gets ends at input.
func TestUp(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f := Flow{Protocol: unix.IPPROTO_UDP, Source: netip.IPv6Loopback(), Destination: netip.IPv6Loopback(), Port: 8000}
	s, err := On(f)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Off()
	send(t, "[::1]:8000")
	heard(t, l, func(e Event) bool { ends, up := s.Ends(e); return ends && up })
}

// TestTwo: two traces have a table each, and each knows its own.
func TestTwo(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	one, err := On(loopback())
	if err != nil {
		t.Fatal(err)
	}
	defer one.Off()
	two, err := On(loopback())
	if err != nil {
		t.Fatal(err)
	}
	defer two.Off()
	if one.name == two.name {
		t.Errorf("both are %s", one.name)
	}
}

// TestOthersCannot: a flush of all rules leaves it on.
func TestOthersCannot(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	s, err := On(loopback())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Off()
	nft(t, "flush", "ruleset")
	if !strings.Contains(nft(t, "list", "tables"), s.name) {
		t.Error("a flush by others ends it")
	}
}

// TestKilled: tracing ends with the process, however that ends.
func TestKilled(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), holdEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "on\n" || !strings.Contains(nft(t, "list", "tables"), Prefix) {
		t.Errorf("the child says %q; tables:\n%s", line, nft(t, "list", "tables"))
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	testkit.Eventually(t, "its tables are gone", func() bool { return !strings.Contains(nft(t, "list", "tables"), Prefix) })
}

// TestNoRights: who may not is told so.
func TestNoRights(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), holdEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if err == nil || !strings.Contains(string(out), "run as root") {
		t.Errorf("%v: %q", err, out)
	}
}

// FuzzParse: what is no report is an error, and nothing worse.
func FuzzParse(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0})
	f.Add([]byte{2, 0, 0, 0, 8, 0, 3, 0x80, 4, 0, 1, 0})
	f.Fuzz(func(_ *testing.T, data []byte) {
		if e, err := Parse(data); err == nil {
			_ = e.Where()
		}
	})
}
