package watch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/bpfprog"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/golden"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// patience is how long a test waits for what must happen, quiet for what must
// not.
const (
	patience = 10 * time.Second
	quiet    = 70 * time.Millisecond
)

func sh(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func start(t *testing.T) *Watcher {
	t.Helper()
	logger := logrus.New()
	logger.SetOutput(io.Discard)
	w, err := New(Options{SysctlRoot: "/proc/sys", Log: logrus.NewEntry(logger)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	settle(w)
	return w
}

// settle takes the changes that are already under way.
func settle(w *Watcher) {
	for {
		select {
		case <-w.Changes():
			w.Take()
		case <-time.After(quiet):
			return
		}
	}
}

// told wants to hear of what the script does to the links of these names, if any,
// and returns which it heard of.
func told(t *testing.T, w *Watcher, script string, links ...string) (all spec.Scope) {
	t.Helper()
	settle(w)
	sh(t, script)
	for deadline := time.After(patience); ; {
		select {
		case <-w.Changes():
			all.Join(w.Take())
		case <-deadline:
			t.Errorf("not told of: %s: want %q, got %+v", script, links, all)
			return all
		}
		if !slices.ContainsFunc(links, func(name string) bool { return !all.Has(name) }) {
			return all
		}
	}
}

// everything is no link's name: told hears of it if it hears of all links.
const everything = "everything"

func untold(t *testing.T, w *Watcher, script string) {
	t.Helper()
	settle(w)
	sh(t, script)
	select {
	case <-w.Changes():
		t.Errorf("told of: %s: %+v", script, w.Take())
	case <-time.After(quiet):
	}
}

// world is one network with a container's link, and links of others.
const world = `
ip link add gw-a group 18263 type bridge && ip link set gw-a alias gangway:net up
ip addr add 10.9.0.1/24 dev gw-a
ip addr add 10.7.0.1/24 dev gw-a
ip link add gv-a type veth peer name gp-a && ip link set gv-a alias gangway:ep master gw-a up
ip link add theirs type bridge && ip link set theirs up
ip link add lent type bridge && ip link property add dev lent altname gangway-net-up
`

// changesOfLinks are scripts, each with the links that it is about.
func changesOfLinks() [][]string {
	return [][]string{
		{"ip link set gw-a down", "gw-a"},
		{"ip link set gw-a up", "gw-a"},
		{"ip addr del 10.9.0.1/24 dev gw-a", "gw-a"},
		{"ip route del 10.7.0.0/24 dev gw-a", "gw-a"},
		{"ip addr add fd07::1/64 dev gw-a nodad", "gw-a"},
		{"ip -6 route del fd07::/64 dev gw-a", "gw-a"},
		{"ip rule add iif gw-a lookup 9", "gw-a"},
		{"ip rule del iif gw-a lookup 9", "gw-a"},
		{"ip -6 rule add iif gw-a lookup 9", "gw-a"},
		{"ip -6 rule del iif gw-a lookup 9", "gw-a"},
		{"ip link set gw-a group 0", "gw-a"},
		{"ip link set gw-a group 18263", "gw-a"},
		{"ip link set gv-a nomaster", "gv-a"},
		{"ip link set gv-a master gw-a", "gv-a"},
		{"bridge link set dev gv-a isolated on", "gv-a"},
		{"tc qdisc add dev gv-a clsact", "gv-a"},
		{"tc filter add dev gv-a ingress prio 1 protocol all handle 1 bpf direct-action bytecode '1,6 0 0 4294967295'", "gv-a"},
		{"tc filter del dev gv-a ingress prio 1", "gv-a"},
		{"tc qdisc del dev gv-a clsact", "gv-a"},
		{"ip link set gv-a mtu 1400", "gv-a"},
		{"ip link set lent up", "lent"},
		{"ip link set gw-a alias other", "gw-a"},
		{"echo 1 > /proc/sys/net/ipv4/conf/gw-a/route_localnet", "gw-a"},
		{"echo 0 > /proc/sys/net/ipv6/conf/gw-a/accept_ra", "gw-a"},
		{"echo 1 > /proc/sys/net/ipv4/ip_forward", everything},
		{"echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6", everything},
		{"sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=1", everything},
		{"ip link set gw-a down && ip link set gw-a name gw-b && ip link set gw-b up", "gw-a", "gw-b"},
		{"echo 0 > /proc/sys/net/ipv4/conf/gw-b/route_localnet", "gw-b"},
		{"ip link set gv-a down && ip link set gv-a name gv-b && ip link set gv-b alias other", "gv-a", "gv-b"},
		{"ip link del gv-b", "gv-b"},
		{"ip link del gw-b", "gw-b"},
		{"ip link del lent", "lent"},
	}
}

// TestLent: a link of others that gangway uses is told of by its name, and as what may lead outside.
func TestLent(t *testing.T) {
	sh(t, "ip link add eth9 type bridge && ip link property add dev eth9 altname gangway-net-proxyndp")
	defer sh(t, "ip link del eth9")
	w := start(t)
	for _, script := range []string{"ip link set eth9 mtu 1400", "ip link set eth9 up", "ip addr add 10.8.9.1/24 dev eth9", "ip link set eth9 down"} {
		if about := told(t, w, script, "eth9"); !about.Outside || about.All {
			t.Errorf("told of %+v, want what leads outside as well: %s", about, script)
		}
	}
}

// TestLinks: what concerns gangway's links is told, and what may lead outside. What
// else concerns others' links is not, whether they were there before the watcher or came later.
func TestLinks(t *testing.T) {
	for name, before := range map[string]bool{"there before": true, "come later": false} {
		t.Run(name, func(t *testing.T) {
			if before {
				sh(t, world)
			}
			w := start(t)
			if !before {
				told(t, w, world, "gw-a", "gv-a")
			}
			for _, c := range changesOfLinks() {
				if all := told(t, w, c[0], c[1:]...); all.All != (c[1] == everything) {
					t.Errorf("told of all links: %s", c[0])
				}
			}
			for _, script := range []string{
				"ip addr add 10.8.0.1/24 dev theirs",
				"ip route add default via 10.8.0.9",
				"ip route del default via 10.8.0.9",
				"ip route add 0.0.0.0/1 via 10.8.0.9",
				"ip link add y1 type vxlan id 9 dstport 0",
				"ip link set y1 master theirs",
				"ip link set y1 name y2",
				"ip link set theirs down",
				"ip link set theirs up",
				"ip link del y2",
				"ip rule add from 10.8.0.0/24 lookup 100",
				"ip rule del from 10.8.0.0/24 lookup 100",
				"ip -6 rule add from fd08::/64 lookup 100",
				"ip -6 rule del from fd08::/64 lookup 100",
			} {
				if all := told(t, w, script); !all.Outside || all.All || len(all.Links) > 0 {
					t.Errorf("told of %+v, want what leads outside: %s", all, script)
				}
			}
			for _, script := range []string{
				"ip route add 10.6.0.0/16 via 10.8.0.9",
				"ip route del 10.8.0.0/24 dev theirs",
				"tc qdisc add dev theirs clsact",
				"ip link add x1 type veth peer name x2 && ip link set x1 master theirs up && ip link del x1",
			} {
				untold(t, w, script)
			}
			told(t, w, "ip link del theirs")
			if err := w.Close(); err != nil {
				t.Error(err)
			}
			if n := len(w.links.known) + len(w.links.tree.watches) + len(w.links.tree.names); n != 0 {
				t.Errorf("%d links and watches are remembered at the end", n)
			}
		})
	}
}

// TestRoutes: of routes, only the loss of the kernel's own is told.
func TestRoutes(t *testing.T) {
	f := routesTold(t)
	sh(t, "ip link add gw-a type bridge && ip link set gw-a up && ip addr add 10.9.0.1/24 dev gw-a")
	defer sh(t, "ip link del gw-a")
	sh(t, "ip route add 10.6.0.0/24 dev gw-a && ip route del 10.6.0.0/24 dev gw-a && ip route del 10.9.0.0/24 dev gw-a")
	buf := make([]byte, bufferSize)
	if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := f.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		for kind, m := range messages(buf[:n]) {
			if kind != unix.RTM_NEWROUTE && kind != unix.RTM_DELROUTE {
				continue
			}
			for attr, v := range attributes(m[unix.SizeofRtMsg:]) {
				if attr == unix.RTA_DST && !bytes.Equal(v, []byte{10, 9, 0, 0}) {
					t.Errorf("told of message %d about %v", kind, v)
				}
			}
			return
		}
	}
}

// TestFilterPrograms has a reader see what the kernel gets. It names kinds of messages by
// numbers in network byte order.
func TestFilterPrograms(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		testkit.Missing(t, "a machine of the byte order that the files are of, as all have that Gangway is built for")
	}
	for name, p := range map[string]*bpfprog.Program{"generations": onlyGenerations(), "routes": onlySomeRoutes()} {
		code, err := p.Code()
		if err != nil {
			t.Fatal(err)
		}
		golden.Compare(t, filepath.Join("testdata", name+".golden"), golden.Program(t, code))
	}
}

// TestRules: transactions are told, and others than our own name their author.
func TestRules(t *testing.T) {
	w := start(t)
	told(t, w, "nft add table inet gangway-test")
	if who := w.Suspect(); !strings.HasPrefix(who, "nft") {
		t.Errorf("suspect %q", who)
	}
	told(t, w, "nft flush ruleset")
	told(t, w, "iptables-nft -A FORWARD -j ACCEPT")
	told(t, w, "iptables-nft -F")
	w.mu.Lock()
	w.suspect = ""
	w.mu.Unlock()
	settle(w)
	cmd := exec.CommandContext(t.Context(), "iptables-nft", "-A", "FORWARD", "-j", "ACCEPT")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	<-w.Changes()
	settle(w)
	if who := w.Suspect(); who != "" {
		t.Errorf("our own child is suspected: %q", who)
	}
}

// TestOverflow: a queue that ran over is a change, and nothing is missed later.
func TestOverflow(t *testing.T) {
	w := start(t)
	raw, err := w.files[0].SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1) }); err != nil {
		t.Fatal(err)
	}
	told(t, w, world+`for i in $(seq 300); do echo link set gw-a mtu $((1300+i)); done | ip -b -`, everything)
	told(t, w, "ip link set gw-a down", "gw-a")
	told(t, w, "ip link del gw-a; ip link del gv-a; ip link del lent; ip link del theirs")
}

// TestAuthor: a name may hold anything, and an unknown process is not guessed
// at.
func TestAuthor(t *testing.T) {
	self, parent, err := process(uint32(os.Getpid()))
	if err != nil || parent != uint32(os.Getppid()) {
		t.Fatalf("process: %q %d %v", self, parent, err)
	}
	for _, tt := range []struct {
		g   generation
		who string
		own bool
	}{
		{generation{uint32(os.Getpid()), self}, "", true},
		{generation{1 << 30, "nft"}, "nft", false},
		{generation{1 << 30, "firewalld"}, "firewalld", false},
		{generation{1 << 30, "iptables-nft-re"}, "iptables-nft-re", true},
		{generation{1 << 30, self}, self, true},
		{generation{}, "", true},
		{generation{1 << 30, "a\x1b[2J\u009b\u202e"}, `a\x1b[2J\u009b\u202e`, false},
	} {
		if who, own := author(tt.g); who != tt.who || own != tt.own {
			t.Errorf("author(%+v) = %q, %t, want %q, %t", tt.g, who, own, tt.who, tt.own)
		}
	}
}

func TestMissingSysctls(t *testing.T) {
	l := newLinks(nil)
	b := dumpLinks()
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_NEWLINK)
	if got := l.see(b); got.All || len(got.Links) > 0 {
		t.Error("an unmarked link counts as gangway's")
	}
	if got := l.see(nil); !got.Empty() {
		t.Error("nothing counts")
	}
}

// TestMany: what nobody takes does not grow without end, and is all taken once.
func TestMany(t *testing.T) {
	w := &Watcher{changes: make(chan struct{}, 1)}
	tell := func(n int) {
		for i := range n {
			w.tell(spec.Scope{Links: map[string]bool{fmt.Sprint("gv-", i): true}})
		}
	}
	tell(manyLinks)
	if s := w.Take(); s.All || len(s.Links) != manyLinks || !s.Has("gv-0") || s.Has("gv-x") || len(w.changes) != 0 {
		t.Errorf("%+v", s)
	}
	if s := w.Take(); !s.Empty() {
		t.Errorf("taken twice: %+v", s)
	}
	tell(manyLinks + 1)
	tell(1)
	if s := w.Take(); !s.All || len(s.Links) != 0 || !s.Has("gv-x") {
		t.Errorf("%+v", s)
	}
	w.Changed()
	if s := w.Take(); !s.Empty() {
		t.Errorf("what is not about links: %+v", s)
	}
}

// FuzzMessages: whatever the bytes, no panic, and attributes lie within.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{})
	f.Add(dumpLinks())
	f.Add(bytes.Repeat([]byte{20, 0, 0, 0, 16, 0}, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLinks(nil)
		l.see(b)
		(&tree{}).see(b)
		generations(b)
		mark(b)
		n := 0
		for _, v := range attributes(b) {
			n += unix.SizeofNlAttr + len(v)
		}
		if n > len(b) {
			t.Errorf("%d bytes of attributes in %d", n, len(b))
		}
	})
}
