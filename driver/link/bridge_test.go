package link_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

func TestBridgeLife(t *testing.T) {
	tests := map[string]struct {
		change func(*spec.Bridge)
		// link and conf are what `ip` and the sysctls show, gone what they do not.
		link, conf, gone []string
	}{
		"dual stack": {
			link: []string{"mtu 1400", "group 18263", "alias gangway:" + netID, "inet 10.7.0.1/24 scope global", "inet6 fd07::1/64 scope global nodad", "UP"},
			conf: []string{"route_localnet=1", "accept_ra=0", "accept_dad=0", "disable_ipv6=0"},
			gone: []string{"brd 10.7", "tentative"},
		},
		"IPv4 only": {
			change: func(b *spec.Bridge) { b.IPv6 = false; b.Addresses = b.Addresses[:1] },
			link:   []string{"inet 10.7.0.1/24", "UP"},
			conf:   []string{"route_localnet=1", "accept_ra=1", "accept_dad=1", "disable_ipv6=1"},
			gone:   []string{"inet6"},
		},
		"no address": {
			change: func(b *spec.Bridge) {
				b.IPv6 = false
				b.Localnet = false
				b.Addresses = nil
				b.MTU = 0
				b.Name = "br.0123456.89ab"
			},
			link: []string{"mtu 1500", "UP"},
			conf: []string{"route_localnet=0", "accept_ra=1", "accept_dad=1", "disable_ipv6=1"},
			gone: []string{"inet"},
		},
		"jumbo": {
			change: func(b *spec.Bridge) { b.MTU = 9000 },
			link:   []string{"mtu 9000"},
			conf:   []string{"route_localnet=1", "accept_ra=0", "accept_dad=0", "disable_ipv6=0"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inside(t, func(f fixture) {
				b := dualStack()
				if tt.change != nil {
					tt.change(&b)
				}
				empty := f.dump()
				f.ensure(b, "bridge "+b.Name+" was missing: created")
				shown := f.sh("ip -d addr show dev " + b.Name)
				f.contains(shown, tt.link...)
				for _, w := range tt.gone {
					if strings.Contains(shown, w) {
						f.t.Errorf("%q is in:\n%s", w, shown)
					}
				}
				conf6 := "net/ipv6/conf/" + b.Name
				got := f.sysctls("net/ipv4/conf/"+b.Name+"/route_localnet", conf6+"/accept_ra", conf6+"/accept_dad", conf6+"/disable_ipv6")
				if d := cmp.Diff(tt.conf, got); d != "" {
					t.Errorf("sysctls (-want +got):\n%s", d)
				}
				f.ok(f.DeleteBridge(context.Background(), b))
				f.ok(f.DeleteBridge(context.Background(), b))
				f.unchanged("creating and deleting", empty)
			})
		})
	}
}

// TestLocalnetFollows: what a version left that let packets of 127.0.0.1 leave by
// every bridge is put right. On one of somebody else's only what was lent is.
func TestLocalnetFollows(t *testing.T) {
	inside(t, func(f fixture) {
		f.sh("ip link add br0.office type bridge")
		f.sh("ip link add br0.home type bridge")
		f.sh("sysctl -w net/ipv4/conf/br0.home/route_localnet=1")
		home := adopted()
		home.Name, home.NetworkID, home.Addresses = "br0.home", otherID, nil
		for _, tt := range []struct {
			spec.Bridge
			change string
		}{
			{dualStack(), "route_localnet was 1: set to 0"},
			{adopted(), "route_localnet was lent: given back"},
			{home, ""},
		} {
			b, change := tt.Bridge, tt.change
			_, err := f.EnsureBridge(context.Background(), b)
			f.ok(err)
			b.Localnet = false
			before, want := f.dump(), []string(nil)
			if change != "" {
				want = []string{"bridge " + b.Name + ": " + change}
			}
			f.ensure(b, want...)
			f.ensure(b)
			got := f.sysctl("net/ipv4/conf/" + b.Name + "/route_localnet")
			if (got == "0") != (change != "") {
				t.Errorf("route_localnet of %s is %s", b.Name, got)
			}
			f.unchanged("putting "+b.Name+" right", strings.ReplaceAll(before, "    altname gangway-"+netID+"-localnet\n", ""))
		}
	})
}

func TestBridgeKeepsAddressAndMTU(t *testing.T) {
	inside(t, func(f fixture) {
		b := dualStack()
		f.ensure(b, "bridge "+b.Name+" was missing: created")
		mac := func() string {
			_, rest, _ := strings.Cut(f.sh("ip -o link show dev "+b.Name), "link/ether ")
			return rest[:17]
		}
		before := mac()
		if c := before[1]; !strings.ContainsRune("26ae", rune(c)) {
			t.Errorf("%s is not locally administered unicast", before)
		}
		v := pair(b.Name)
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.sh("ip link set dev " + v.Host + " mtu 1300 address 02:00:00:00:00:01")
		f.ok(f.DeleteVeth(context.Background(), v))
		if after := mac(); after != before {
			t.Errorf("hardware address %s, before a port came and went %s", after, before)
		}
		f.ensure(b)
	})
}

// drift is what somebody does to a bridge, and what is mended then.
type drift struct{ break_, lines []string }

func drifts() map[string]drift {
	return map[string]drift{
		"down": {
			// The kernel drops IPv6 addresses as the link goes down.
			break_: []string{"ip link set dev NAME down"},
			lines:  []string{"address fd07::1/64 was missing: added", "was down: set up"},
		},
		"addresses": {
			break_: []string{"ip addr flush dev NAME scope global"},
			lines:  []string{"address 10.7.0.1/24 was missing: added", "address fd07::1/64 was missing: added"},
		},
		"prefix length": {
			break_: []string{"ip addr flush dev NAME scope global", "ip addr add 10.7.0.1/16 dev NAME", "ip addr add fd07::1/72 dev NAME"},
			lines:  []string{"address 10.7.0.1/24 had the prefix length 16: replaced", "address fd07::1/64 had the prefix length 72: replaced"},
		},
		"routes": {
			break_: []string{"ip route del 10.7.0.0/24 dev NAME", "ip -6 route del fd07::/64 dev NAME"},
			lines:  []string{"route to 10.7.0.0/24 was missing: added", "route to fd07::/64 was missing: added"},
		},
		"route of somebody else": {break_: []string{"ip route replace 10.7.0.0/24 dev lo"}},

		"group":   {break_: []string{"ip link set dev NAME group 7"}, lines: []string{"interface group was 7: set to 18263"}},
		"mtu":     {break_: []string{"ip link set dev NAME mtu 1300"}, lines: []string{"MTU was 1300: set to 1400"}},
		"another": {break_: []string{"ip addr add 192.0.2.1/24 dev NAME"}},
		"sysctls": {
			break_: []string{"sysctl -w net/ipv4/conf/NAME/route_localnet=0 net/ipv6/conf/NAME/accept_ra=1 net/ipv6/conf/NAME/disable_ipv6=1"},
			lines: []string{"route_localnet was 0: set to 1", "accept_ra was 1: set to 0", "disable_ipv6 was 1: set to 0",
				"address fd07::1/64 was missing: added"},
		},
		"too small for IPv6": {
			break_: []string{"ip link set dev NAME mtu 1000"},
			lines: []string{"MTU was 1000: set to 1400", "accept_ra was 1: set to 0", "accept_dad was 1: set to 0",
				"address fd07::1/64 was missing: added"},
		},
		"unfinished": {
			break_: []string{"ip link del NAME", "ip link add NAME group 18263 type bridge"},
			lines: []string{`alias was "": set to gangway:` + netID, "MTU was 1500: set to 1400", "route_localnet was 0: set to 1",
				"accept_ra was 1: set to 0", "accept_dad was 1: set to 0", "address 10.7.0.1/24 was missing: added",
				"address fd07::1/64 was missing: added", "was down: set up"},
		},
	}
}

func TestBridgeDrift(t *testing.T) {
	b := dualStack()
	for name, tt := range drifts() {
		t.Run(name, func(t *testing.T) {
			inside(t, func(f fixture) {
				f.ensure(b, "bridge "+b.Name+" was missing: created")
				good := f.dump()
				for _, line := range tt.break_ {
					f.sh(strings.ReplaceAll(line, "NAME", b.Name))
				}
				var want []string
				for _, line := range tt.lines {
					want = append(want, "bridge "+b.Name+": "+line)
				}
				f.ensure(b, want...)
				if want != nil {
					f.unchanged("breaking and mending", good)
				}
			})
		})
	}
}

func TestBridgeRefused(t *testing.T) {
	tests := map[string]struct {
		prepare []string
		change  func(*spec.Bridge)
		words   []string
	}{
		"foreign bridge": {
			prepare: []string{"ip link add gw-0123456789ab type bridge"},
			words:   []string{"gw-0123456789ab", "was not created by gangway"},
		},
		"other network": {
			prepare: []string{"ip link add gw-0123456789ab type bridge", "ip link set gw-0123456789ab alias gangway:" + otherID},
			words:   []string{"belongs to the network " + otherID},
		},
		"veth": {
			prepare: []string{"ip link add gw-0123456789ab type veth peer name x"},
			words:   []string{"is a veth", "choose another"},
		},
		"alternative name": {
			prepare: []string{"ip link add x type bridge", "ip link property add dev x altname gw-0123456789ab"},
			words:   []string{"alternative name of link x"},
		},
		"long name":     {change: func(b *spec.Bridge) { b.Name += "c" }, words: []string{"16 bytes", "15"}},
		"empty name":    {change: func(b *spec.Bridge) { b.Name = "" }, words: []string{"empty"}},
		"slash":         {change: func(b *spec.Bridge) { b.Name = "a/b" }, words: []string{"'/'"}},
		"template":      {change: func(b *spec.Bridge) { b.Name = "br%d" }, words: []string{"'%'"}},
		"all":           {change: func(b *spec.Bridge) { b.Name = "all" }, words: []string{"reserved"}},
		"no id":         {change: func(b *spec.Bridge) { b.NetworkID = "" }, words: []string{"network id"}},
		"two gateways":  {change: func(b *spec.Bridge) { b.Addresses = prefixes("10.7.0.1/24", "10.8.0.1/24") }, words: []string{"10.8.0.1/24", "second"}},
		"mapped":        {change: func(b *spec.Bridge) { b.Addresses = prefixes("::ffff:10.7.0.1/120") }, words: []string{"no gateway"}},
		"IPv6 off":      {change: func(b *spec.Bridge) { b.IPv6 = false }, words: []string{"fd07::1/64", "IPv6"}},
		"small MTU":     {change: func(b *spec.Bridge) { b.MTU = 1279 }, words: []string{"1280"}},
		"huge MTU":      {change: func(b *spec.Bridge) { b.MTU = 70000 }, words: []string{"MTU", "70000"}},
		"tiny MTU":      {change: func(b *spec.Bridge) { b.MTU = 10; b.IPv6 = false; b.Addresses = nil }, words: []string{"MTU", "10"}},
		"adopt missing": {change: func(b *spec.Bridge) { b.Adopted = true }, words: []string{"does not exist", "create it"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inside(t, func(f fixture) {
				for _, line := range tt.prepare {
					f.sh(line)
				}
				b := dualStack()
				if tt.change != nil {
					tt.change(&b)
				}
				f.refuses("EnsureBridge", func() error { _, err := f.EnsureBridge(context.Background(), b); return err }, tt.words...)
				before := f.dump()
				f.ok(f.DeleteBridge(context.Background(), b))
				f.unchanged("DeleteBridge", before)
			})
		})
	}
}

// TestNoIPv6 uses a tree of sysctls as it looks without IPv6.
func TestNoIPv6(t *testing.T) {
	inside(t, func(f fixture) {
		root := t.TempDir()
		f.ok(os.MkdirAll(root+"/net/ipv4/conf/br0", 0o755))
		f.ok(os.WriteFile(root+"/net/ipv4/conf/br0/route_localnet", []byte("0\n"), 0o644))
		h, err := link.New(link.Options{SysctlRoot: root})
		f.ok(err)
		defer h.Close()
		f = fixture{h, t}
		b := spec.Bridge{Name: "br0", NetworkID: netID, Addresses: prefixes("10.7.0.1/24")}
		f.ensure(b, "bridge br0 was missing: created")
		v := pair("br0")
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.ok(f.DeleteVeth(context.Background(), v))
		f.ok(f.DeleteBridge(context.Background(), b))
		b.IPv6, b.Addresses = true, prefixes("fd07::1/64")
		f.refuses("EnsureBridge", func() error { _, err := f.EnsureBridge(context.Background(), b); return err }, "fd07::1/64", "IPv6 switched off")
		f.refuses("EnableForwarding", func() error { _, err := f.EnableForwarding(context.Background(), false, true); return err }, "IPv6 switched off")
	})
}

// TestReadOnlySysctls has a setting that is there and cannot be written.
func TestReadOnlySysctls(t *testing.T) {
	inside(t, func(f fixture) {
		root := t.TempDir()
		f.ok(os.MkdirAll(root+"/net/ipv4/conf/br0", 0o755))
		// A folder can be opened for writing by nobody, root included.
		f.ok(os.MkdirAll(root+"/net/ipv4/conf/br0/route_localnet", 0o755))
		h, err := link.New(link.Options{SysctlRoot: root})
		f.ok(err)
		defer h.Close()
		f = fixture{h, t}
		b := spec.Bridge{Name: "br0", NetworkID: netID}
		f.refuses("EnsureBridge", func() error { _, err := f.EnsureBridge(context.Background(), b); return err }, "net/ipv4/conf/br0/route_localnet")
	})
}

func TestCancelled(t *testing.T) {
	inside(t, func(f fixture) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		b, v := dualStack(), pair("gw-0123456789ab")
		before := f.dump()
		for what, do := range map[string]func() error{
			"EnsureBridge":     func() error { _, err := f.EnsureBridge(ctx, b); return err },
			"DeleteBridge":     func() error { return f.DeleteBridge(ctx, b) },
			"EnsureVeth":       func() error { _, err := f.EnsureVeth(ctx, v); return err },
			"DeleteVeth":       func() error { return f.DeleteVeth(ctx, v) },
			"EnableForwarding": func() error { _, err := f.EnableForwarding(ctx, false, true); return err },
			"Veths":            func() error { _, err := f.Veths(ctx); return err },
			"Prune":            func() error { _, err := f.Prune(ctx, nil, nil); return err },
			"Prefixes":         func() error { _, err := f.Prefixes(ctx); return err },
		} {
			if err := do(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", what, err)
			}
		}
		f.unchanged("cancelled calls", before)
	})
}
