package link_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/golden"
)

// probed are addresses that a neighbour has, and two that nobody has.
var (
	used4, used6 = netip.MustParseAddr("10.7.0.9"), netip.MustParseAddr("fd00:7::9")
	free4, free6 = netip.MustParseAddr("10.7.0.8"), netip.MustParseAddr("fd00:7::8")
)

// TestOccupied: a machine on a port that is not gangway's is found by its
// addresses, and by them alone, and learns nothing from the question.
func TestOccupied(t *testing.T) {
	inside(t, func(f fixture) {
		f.sh("ip link add br0 up type bridge")
		fixMAC(f)
		peer := neighbour(f)
		peer("ip link set n0 address 02:00:00:00:00:99")
		peer("ip addr add 10.7.0.9/24 dev n0")
		peer("ip addr add fd00:7::9/64 dev n0 nodad")
		before := f.dump()
		got, err := f.Occupied(context.Background(), "br0", []netip.Addr{free4, used4, free6, used6})
		f.ok(err)
		if len(got) != 2 || got[used4].String() != "02:00:00:00:00:99" || got[used6].String() != "02:00:00:00:00:99" {
			t.Errorf("in use: %v", got)
		}
		f.unchanged("asking", before)
		if known := peer("ip neigh show"); strings.Contains(known, "10.7.0.") || strings.Contains(known, "fd00:7::8") {
			t.Errorf("the neighbour has learned %s", known)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := f.Occupied(ctx, "br0", []netip.Addr{free4}); err == nil {
			t.Error("a call that was cancelled went on")
		}

		// A bridge that is down carries nothing, nor does one that is not there.
		f.sh("ip link set br0 down")
		for _, bridge := range []string{"br0", "nothing"} {
			got, err := f.Occupied(context.Background(), bridge, []netip.Addr{used4})
			f.ok(err)
			if len(got) != 0 {
				t.Errorf("%s: %v", bridge, got)
			}
		}
	})
}

// TestOccupiedMany: more addresses are asked for at once than a slow link takes, and the last one is in use.
func TestOccupiedMany(t *testing.T) {
	inside(t, func(f fixture) {
		neighbour, _ := machine(f)
		f.sh("ip link set n1 up")
		neighbour("ip addr add 2001:db8:7::1000/64 dev n0 nodad")
		f.sh("tc qdisc add dev n1 root tbf rate 20mbit burst 10k limit 1000000")
		f.eventually("carrier", func() error {
			if out := neighbour("ip -o -6 addr show dev n0"); !strings.Contains(out, "fe80") || strings.Contains(out, "tentative") {
				return errors.New(out)
			}
			return nil
		})
		var all []netip.Addr
		for i := 1; i <= 0x1000; i++ {
			all = append(all, netip.MustParseAddr(fmt.Sprintf("2001:db8:7::%x", i)))
		}
		users, err := f.Occupied(context.Background(), "n1", all)
		f.ok(err)
		if len(users) != 1 || users[netip.MustParseAddr("2001:db8:7::1000")] == nil {
			t.Errorf("in use: %v", users)
		}
	})
}

// TestOccupiedFiltered: an answer is heard that rules drop before the bridge gets it.
func TestOccupiedFiltered(t *testing.T) {
	inside(t, func(f fixture) {
		f.sh("ip link add br0 up type bridge")
		peer := neighbour(f)
		peer("ip addr add fd00:7::9/64 dev n0 nodad")
		f.sh("nft add table bridge deaf")
		f.sh("nft add chain bridge deaf in { type filter hook prerouting priority 0; }")
		f.sh("nft add rule bridge deaf in ip6 saddr fd00:7::/64 drop")
		got, err := f.Occupied(context.Background(), "br0", []netip.Addr{free6, used6})
		f.ok(err)
		if len(got) != 1 || got[used6] == nil {
			t.Errorf("in use: %v", got)
		}
	})
}

// TestOccupiedOwn: where all ports are gangway's, nobody is asked: this one
// would answer.
func TestOccupiedOwn(t *testing.T) {
	inside(t, func(f fixture) {
		f.sh("ip link add br0 up type bridge")
		peer := neighbour(f)
		peer("ip addr add 10.7.0.9/24 dev n0")
		for alias, want := range map[string]int{spec.OwnerAlias + epID: 0, "mine": 1} {
			f.sh("ip link set n1 alias " + alias)
			got, err := f.Occupied(context.Background(), "br0", []netip.Addr{used4})
			f.ok(err)
			if len(got) != want {
				t.Errorf("in use, with a port that has the alias %s: %v", alias, got)
			}
		}
	})
}

// TestOccupiedByLink: a link that is no bridge yet asks as well.
func TestOccupiedByLink(t *testing.T) {
	inside(t, func(f fixture) {
		f.sh("ip link add br0 up type bridge")
		peer := neighbour(f)
		peer("ip addr add 10.7.0.9/24 dev n0")
		f.sh("ip link set n1 nomaster")
		for damage, want := range map[string]int{"ip link set n1 up": 1, "ip link set n1 down": 0} {
			f.sh(damage)
			got, err := f.Occupied(context.Background(), "n1", []netip.Addr{used4, free4})
			f.ok(err)
			if len(got) != want {
				t.Errorf("%s: in use: %v", damage, got)
			}
		}
	})
}

// TestAdoptedGatewayAtOnce: the gateway's addresses that are added to an adopted
// bridge are usable without waiting for the kernel's own detection.
func TestAdoptedGatewayAtOnce(t *testing.T) {
	inside(t, func(f fixture) {
		f.sh("ip link add br0 up type bridge")
		neighbour(f)
		b := spec.Bridge{Name: "br0", NetworkID: netID, Adopted: true, IPv6: true, Addresses: []netip.Prefix{netip.MustParsePrefix("fd00:7::1/64")}}
		_, err := f.EnsureBridge(context.Background(), b)
		f.ok(err)
		if show := f.sh("ip -6 addr show dev br0 scope global"); !strings.Contains(show, "fd00:7::1/64 scope global nodad") || strings.Contains(show, "tentative") {
			t.Errorf("the gateway is not usable yet: %s", show)
		}
	})
}

// TestClaim: which frames say that somebody uses an address.
func TestClaim(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 9}
	for _, a := range []netip.Addr{used4, used6} {
		ask, announce := link.Questions(a, mac)
		for what, frame := range map[string][]byte{"question": ask, "announcement": announce} {
			if got, by := link.Claim(frame); got != a || !bytes.Equal(by, mac) {
				t.Errorf("%s for %s reads as %s by %s", what, a, got, by)
			}
			for n := range len(frame) {
				if got, _ := link.Claim(frame[:n]); got == a && n < 14+28 {
					t.Errorf("%d bytes of the %s for %s are enough", n, what, a)
				}
			}
		}
	}
	ask, _ := link.Questions(used6, mac)
	for what, change := range map[string]func(f []byte){
		"another protocol":          func(f []byte) { f[12] = 0x99 },
		"a forwarded packet":        func(f []byte) { f[14+7] = 254 },
		"no ICMPv6":                 func(f []byte) { f[14+6] = 17 },
		"another message":           func(f []byte) { f[14+40] = 133 },
		"a question with an asker":  func(f []byte) { f[14+8] = 0xfe },
		"a question, cut in target": func(f []byte) { copy(f[14+48:], make([]byte, 16)) },
	} {
		frame := slices.Clone(ask)
		change(frame)
		if got, _ := link.Claim(frame); got == used6 {
			t.Errorf("%s counts as a claim", what)
		}
	}
}

func FuzzClaim(f *testing.F) {
	for _, a := range []netip.Addr{used4, used6} {
		ask, announce := link.Questions(a, net.HardwareAddr{2, 0, 0, 0, 0, 9})
		f.Add(ask)
		f.Add(announce)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if a, mac := link.Claim(frame); a.IsValid() && len(mac) != 6 {
			t.Errorf("%x is a claim of %s by %s", frame, a, mac)
		}
	})
}

// TestAnswersOnly has a reader see what the kernel gets.
func TestAnswersOnly(t *testing.T) {
	code, err := link.AnswersOnly().Code()
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, filepath.Join("testdata", "answers.golden"), golden.Program(t, code))
}
