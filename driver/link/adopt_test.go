package link_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

func adopted() spec.Bridge {
	b := dualStack()
	b.Name, b.Adopted = "br0.office", true
	return b
}

// state is everything that adopting may change.
func (f fixture) state(bridge string) string {
	return f.dump() + strings.Join(f.sysctls(
		"net/ipv4/conf/"+bridge+"/route_localnet", "net/ipv6/conf/"+bridge+"/disable_ipv6",
		"net/ipv6/conf/"+bridge+"/accept_ra", "net/ipv6/conf/"+bridge+"/accept_dad"), " ")
}

// adoption is a bridge as its owner made it, what the network wants of it, and
// the lines that tell what was changed.
type adoption struct {
	prepare []string
	change  func(*spec.Bridge)
	lines   []string
}

func adoptions() map[string]adoption {
	const (
		group, localnet, up = "interface group was 0: set to 18263", "route_localnet was 0: set to 1", "was down: set up"
		ipv6                = "disable_ipv6 was 1: set to 0"
		addr4, addr6        = "address 10.7.0.1/24 was missing: added", "address fd07::1/64 was missing: added"
	)
	return map[string]adoption{
		"bare": {
			prepare: []string{"ip link set NAME alias office"},
			lines:   []string{group, localnet, addr4, addr6, up},
		},
		"everything there": {
			prepare: []string{"ip link set NAME up group 18263", "ip addr add 10.7.0.1/24 dev NAME", "ip addr add fd07::1/64 dev NAME nodad",
				"sysctl -w net/ipv4/conf/NAME/route_localnet=1"},
		},
		"some there": {
			prepare: []string{"ip link set NAME up mtu 1600", "ip addr add 192.0.2.1/24 dev NAME", "ip addr add 10.7.0.1/24 dev NAME"},
			lines:   []string{group, localnet, addr6},
		},
		"IPv6 off": {
			prepare: []string{"ip link set NAME up", "sysctl -w net/ipv6/conf/NAME/disable_ipv6=1"},
			lines:   []string{group, localnet, ipv6, addr4, addr6},
		},
		"IPv6 not wanted": {
			prepare: []string{"ip link set NAME up", "ip addr add 2001:db8::1/64 dev NAME nodad"},
			change:  func(b *spec.Bridge) { b.IPv6, b.Addresses = false, b.Addresses[:1] },
			lines:   []string{group, localnet, addr4},
		},
		"nothing published": {
			prepare: []string{"ip link set NAME up", "sysctl -w net/ipv4/conf/NAME/route_localnet=1"},
			change:  func(b *spec.Bridge) { b.Localnet = false },
			lines:   []string{group, addr4, addr6},
		},
		"address from a router": {
			prepare: []string{"ip link set NAME up", "ip addr add 2001:db8::1/64 dev NAME nodad valid_lft 3600 preferred_lft 1800"},
			lines:   []string{group, localnet, addr4, addr6},
		},
	}
}

func TestAdopt(t *testing.T) {
	for name, tt := range adoptions() {
		t.Run(name, func(t *testing.T) {
			inside(t, func(f fixture) {
				b := adopted()
				f.sh("ip link add " + b.Name + " type bridge")
				for _, line := range tt.prepare {
					f.sh(strings.ReplaceAll(line, "NAME", b.Name))
				}
				if tt.change != nil {
					tt.change(&b)
				}
				before := f.state(b.Name)
				var want []string
				for _, line := range tt.lines {
					want = append(want, "bridge "+b.Name+": "+line)
				}
				f.ensure(b, want...)
				f.contains(f.sh("ip addr show dev "+b.Name), "group 18263", "inet 10.7.0.1/24", "UP")
				f.ok(f.DeleteBridge(context.Background(), b))
				f.ok(f.DeleteBridge(context.Background(), b))
				after := f.state(b.Name)
				if name == "everything there" {
					// The group was gangway's before: it is given back in any case.
					before = strings.ReplaceAll(before, "group 18263", "group default")
				}
				if d := cmp.Diff(before, after); d != "" {
					t.Errorf("adopting and giving back (-before +after):\n%s", d)
				}
			})
		})
	}
}

func TestAdoptRefused(t *testing.T) {
	tests := map[string]struct {
		prepare []string
		words   []string
	}{
		"another IPv4 subnet":   {[]string{"ip addr add 192.0.2.1/24 dev NAME"}, []string{"192.0.2.1/24", "10.7.0.1/24", "NAME"}},
		"another IPv4 address":  {[]string{"ip addr add 10.7.0.254/24 dev NAME"}, []string{"10.7.0.254/24", "gateway 10.7.0.254"}},
		"another prefix length": {[]string{"ip addr add 10.7.0.1/16 dev NAME"}, []string{"10.7.0.1/16", "subnet 10.7.0.0/16"}},
		"another IPv6 address":  {[]string{"ip addr add 2001:db8::1/64 dev NAME nodad"}, []string{"2001:db8::1/64", "fd07::1/64"}},
		"group":                 {[]string{"ip link set NAME group 5"}, []string{"group 5", "ip link set NAME group default"}},
		"another network's":     {[]string{"ip link set NAME alias gangway:" + otherID}, []string{"belongs to the network " + otherID}},
		"used by another":       {[]string{"ip link property add dev NAME altname gangway-" + otherID + "-up"}, []string{"used by the network " + otherID}},
		"no bridge":             {[]string{"ip link del NAME", "ip link add NAME type veth peer name x"}, []string{"is a veth"}},
		"alternative name":      {[]string{"ip link set NAME name x", "ip link property add dev x altname NAME"}, []string{"alternative name of link x"}},
		"gone":                  {[]string{"ip link del NAME"}, []string{"does not exist"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inside(t, func(f fixture) {
				b := adopted()
				f.sh("ip link add " + b.Name + " type bridge")
				for _, line := range tt.prepare {
					f.sh(strings.ReplaceAll(line, "NAME", b.Name))
				}
				var words []string
				for _, w := range tt.words {
					words = append(words, strings.ReplaceAll(w, "NAME", b.Name))
				}
				f.refuses("EnsureBridge", func() error { _, err := f.EnsureBridge(context.Background(), b); return err }, words...)
			})
		})
	}
}

// TestAdoptHalfway fails in the middle: the MTU is too small for the IPv6
// gateway, which shows after group and route_localnet were changed.
func TestAdoptHalfway(t *testing.T) {
	inside(t, func(f fixture) {
		b := adopted()
		f.sh("ip link add " + b.Name + " mtu 1000 type bridge")
		f.refuses("EnsureBridge", func() error { _, err := f.EnsureBridge(context.Background(), b); return err }, "1280", b.Name)
		if got := f.sysctl("net/ipv4/conf/" + b.Name + "/route_localnet"); got != "0" {
			t.Errorf("route_localnet is %s after the failure", got)
		}
	})
}

// TestAdoptUnrecorded: a kernel that cannot note what is changed is refused with
// its version, and nothing is changed.
func TestAdoptUnrecorded(t *testing.T) {
	inside(t, func(f fixture) {
		b := adopted()
		f.sh("ip link add " + b.Name + " type bridge")
		f.WithoutAltNames()
		before := f.state(b.Name)
		release := strings.TrimSpace(f.sysctl("kernel/osrelease"))
		f.refuses("EnsureBridge", func() error { _, err := f.EnsureBridge(context.Background(), b); return err },
			b.Name, "Linux 5.5 or newer", release)
		if d := cmp.Diff(before, f.state(b.Name)); d != "" {
			t.Errorf("refusing changed (-before +after):\n%s", d)
		}
		f.ensure(dualStack(), "bridge gw-0123456789ab was missing: created")
	})
}

// adopt makes a bridge and has a network use it.
func (f fixture) adopt() spec.Bridge {
	f.t.Helper()
	b := adopted()
	f.sh("ip link add " + b.Name + " type bridge")
	_, err := f.EnsureBridge(context.Background(), b)
	f.ok(err)
	return b
}

// TestAdoptedStaysUp has somebody else use the bridge meanwhile.
func TestAdoptedStaysUp(t *testing.T) {
	inside(t, func(f fixture) {
		b := f.adopt()
		f.sh("ip link add port0 type veth peer name port1")
		f.sh("ip link set port0 master " + b.Name)
		f.ok(f.DeleteBridge(context.Background(), b))
		shown := f.sh("ip addr show dev " + b.Name)
		f.contains(shown, "UP", "group default")
		if strings.Contains(shown, "gangway-") || strings.Contains(shown, "10.7.0.1") {
			t.Errorf("not given back:\n%s", shown)
		}
	})
}

// TestAdoptedOwnersChange keeps what the owner did after the adoption.
func TestAdoptedOwnersChange(t *testing.T) {
	inside(t, func(f fixture) {
		b := f.adopt()
		f.sh("ip link set " + b.Name + " group 9 alias mine")
		f.sh("ip addr del 10.7.0.1/24 dev " + b.Name)
		f.ok(f.DeleteBridge(context.Background(), b))
		f.contains(f.sh("ip link show dev "+b.Name), "group 9", "alias mine")
	})
}

func TestLoanNames(t *testing.T) {
	inside(t, func(f fixture) {
		b := adopted()
		b.Addresses = prefixes("255.255.255.250/30", "fd00:1111:2222:3333:4444:5555:6666:7777/128")
		f.sh("ip link add " + b.Name + " type bridge")
		_, err := f.EnsureBridge(context.Background(), b)
		f.ok(err)
		f.contains(f.sh("ip link show dev "+b.Name),
			"altname gangway-"+netID+"-addr-255.255.255.250-30",
			"altname gangway-"+netID+"-addr-fd00_1111_2222_3333_4444_5555_6666_7777-128")
		f.ok(f.DeleteBridge(context.Background(), b))
		b.NetworkID = strings.Repeat("a", 65)
		f.refuses("EnsureBridge", func() error { _, err := f.EnsureBridge(context.Background(), b); return err }, "network id", "64")
	})
}

func FuzzParseLoan(f *testing.F) {
	for _, s := range []string{"", "gangway-", "gangway-" + netID + "-up", "gangway-a-addr-10.0.0.1-24", "gangway-a-addr-fd00__1-64", "gangway-a-addr-_-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if again, ok := link.ReparseLoan(name); ok && again != name {
			t.Errorf("%q reads as %q", name, again)
		}
	})
}
