package link_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

// onLAN is the bridge of a network on a LAN, and its uplink.
func onLAN() (spec.Bridge, spec.LANPort) {
	b := spec.Bridge{Name: "gw-0123456789ab", NetworkID: netID}
	return b, spec.LANPort{Link: "eth1", Bridge: b.Name, NetworkID: netID, MTU: 1500}
}

// uplinked runs with a bridge and a link whose other end is a LAN.
func uplinked(t *testing.T, do func(fixture, spec.Bridge, spec.LANPort)) {
	t.Helper()
	inside(t, func(f fixture) {
		b, p := onLAN()
		f.ensure(b, "bridge "+b.Name+" was missing: created")
		f.sh("ip link add eth1 type veth peer name cable")
		f.sh("ip link set cable up")
		do(f, b, p)
	})
}

const joined, raised = "link eth1 was no port of bridge gw-0123456789ab: put into it", "link eth1 was down: set up"

func (f fixture) ensurePort(p spec.LANPort, want ...string) {
	f.t.Helper()
	f.lines("EnsureLANPort", func() ([]string, error) { return f.EnsureLANPort(context.Background(), p) }, want)
}

// TestLANPort: an uplink is put into the bridge, put back where somebody takes it out, and is as it was
// before when the network is gone, however it went.
func TestLANPort(t *testing.T) {
	for _, up := range []bool{false, true} {
		for name, end := range map[string]func(fixture, spec.Bridge, spec.LANPort){
			"removed": func(f fixture, _ spec.Bridge, p spec.LANPort) { f.ok(f.DeleteLANPort(context.Background(), p)) },
			"bridge first": func(f fixture, b spec.Bridge, p spec.LANPort) {
				f.ok(f.DeleteBridge(context.Background(), b))
				f.ok(f.DeleteLANPort(context.Background(), p))
			},
			"pruned": func(f fixture, _ spec.Bridge, _ spec.LANPort) {
				f.another(func(f fixture) {
					c, err := f.Check(context.Background(), spec.Scope{All: true}, nil, nil)
					f.ok(err)
					f.same(true, c.Orphans["eth1"])
					_, err = f.Prune(context.Background(), nil, nil)
					f.ok(err)
				})
			},
		} {
			t.Run(name, func(t *testing.T) {
				uplinked(t, func(f fixture, b spec.Bridge, p spec.LANPort) {
					lines := []string{joined, raised}
					if up {
						f.sh("ip link set eth1 up")
						lines = lines[:1]
					}
					before := f.sh("ip -o link show eth1")
					f.ensurePort(p, lines...)
					f.contains(f.sh("ip link show eth1"), "master "+b.Name, "altname gangway-"+netID+"-port", "UP")
					c, err := f.Check(context.Background(), spec.Scope{All: true}, []spec.Bridge{b}, nil)
					f.ok(err)
					f.same(map[string]bool{}, c.Orphans)
					for _, damage := range []string{"ip link set eth1 nomaster", "ip link set eth1 down"} {
						f.sh(damage)
						found, check := f.Amiss(context.Background(), []spec.Object{p})
						f.ok(check)
						f.same([]spec.Object{p}, found)
						_, err = f.EnsureLANPort(context.Background(), p)
						f.ok(err)
						f.ensurePort(p)
					}
					amiss, err := f.Amiss(context.Background(), []spec.Object{p})
					f.ok(err)
					f.same([]spec.Object(nil), amiss)
					end(f, b, p)
					f.ok(f.DeleteLANPort(context.Background(), p))
					after := f.sh("ip -o link show eth1")
					if d := cmp.Diff(settled(before), settled(after)); d != "" {
						t.Errorf("given back (-before +after):\n%s", d)
					}
				})
			})
		}
	}
}

// settled is a link without its operational state, which comes a moment later, and its queue, which it
// gets when it is up first.
func settled(line string) string {
	return strings.Join(strings.Fields(volatile.ReplaceAllString(strings.ReplaceAll(line, " qlen 1000", ""), "")), " ")
}

// TestLANPortElsewhere: an uplink that somebody has put into another bridge is not taken from there.
func TestLANPortElsewhere(t *testing.T) {
	uplinked(t, func(f fixture, _ spec.Bridge, p spec.LANPort) {
		f.ensurePort(p, joined, raised)
		f.sh("ip link add mine type bridge")
		f.sh("ip link set eth1 master mine")
		f.refuses("EnsureLANPort", func() error { _, err := f.EnsureLANPort(context.Background(), p); return err }, "is a port of another link", "nomaster")
		f.ok(f.DeleteLANPort(context.Background(), p))
		f.contains(f.sh("ip link show eth1"), "master mine")
	})
}

// TestLANPortRefused: a link that cannot be an uplink, or that the host needs, is refused and stays as it is.
func TestLANPortRefused(t *testing.T) {
	for name, c := range map[string]struct {
		link    string
		prepare []string
		words   []string
	}{
		"gone":              {"eth9", nil, []string{"eth9", "no link of that name"}},
		"alternative name":  {"office", []string{"ip link property add dev eth1 altname office"}, []string{"alternative name of link eth1"}},
		"IPv4 address":      {"eth1", []string{"ip addr add 192.0.2.1/24 dev eth1"}, []string{"192.0.2.1/24", "ip address del 192.0.2.1/24 dev eth1"}},
		"IPv6 address":      {"eth1", []string{"ip link set eth1 up", "ip addr add 2001:db8::1/64 dev eth1 nodad"}, []string{"2001:db8::1/64"}},
		"default route":     {"eth1", []string{"ip link set eth1 up", "ip route add default dev eth1"}, []string{"default route"}},
		"loopback":          {"lo", nil, []string{"loopback"}},
		"bridge":            {"mine", []string{"ip link add mine type bridge"}, []string{"is a bridge", "com.docker.network.bridge.name"}},
		"port":              {"eth1", []string{"ip link add mine type bridge", "ip link set eth1 master mine"}, []string{"port of another link", "nomaster"}},
		"another network's": {"eth1", []string{"ip link property add dev eth1 altname gangway-" + otherID + "-port"}, []string{"used by the network " + otherID}},
		"gangway's own":     {"eth1", []string{"ip link set eth1 alias gangway:" + epID}, []string{"gangway's own"}},
		"small":             {"eth1", []string{"ip link set eth1 mtu 1400"}, []string{"com.docker.network.driver.mtu=1400"}},
		"no Ethernet":       {"tun9", []string{"ip tuntap add tun9 mode tun"}, []string{"no hardware addresses of Ethernet"}},
	} {
		t.Run(name, func(t *testing.T) {
			uplinked(t, func(f fixture, _ spec.Bridge, p spec.LANPort) {
				for _, line := range c.prepare {
					f.sh(line)
				}
				p.Link = c.link
				f.refuses("EnsureLANPort", func() error { _, err := f.EnsureLANPort(context.Background(), p); return err }, c.words...)
			})
		})
	}
}

// TestUnfit: kinds that this machine's kernel may lack, and wireless links, by what the kernel shows of them.
func TestUnfit(t *testing.T) {
	sysfs := t.TempDir()
	if err := os.MkdirAll(filepath.Join(sysfs, "wlan0", "phy80211"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, kind, why string }{
		{"eth1", "device", ""}, {"eth1", "bond", ""}, {"eth1", "vlan", ""}, {"wlan0", "device", "one hardware address only"},
		{"eth1", "macvlan", "one hardware address only"}, {"eth1", "ipvlan", "one hardware address only"}, {"eth1", "macvtap", "one hardware address only"},
	} {
		if got := link.Unfit(c.name, c.kind, sysfs); !strings.Contains(got, c.why) || c.why == "" && got != "" {
			t.Errorf("%s, %s: %q, want %q", c.name, c.kind, got, c.why)
		}
	}
}

// TestLANPortUnrecorded: on a kernel that cannot note what is changed nothing is.
func TestLANPortUnrecorded(t *testing.T) {
	uplinked(t, func(f fixture, _ spec.Bridge, p spec.LANPort) {
		f.WithoutAltNames()
		f.refuses("EnsureLANPort", func() error { _, err := f.EnsureLANPort(context.Background(), p); return err }, "eth1", "Linux 5.5 or newer")
	})
}

// TestLANPortHalfway: a daemon that was killed before it put the link into the bridge, but after it noted some of
// that, leaves nothing that the next one does not make whole or take back.
func TestLANPortHalfway(t *testing.T) {
	for _, noted := range [][]string{{"up"}, {"up", "port"}} {
		for name, network := range map[string]bool{" with the network": true, " without": false} {
			t.Run(strings.Join(noted, " and ")+name, func(t *testing.T) {
				uplinked(t, func(f fixture, _ spec.Bridge, p spec.LANPort) {
					before := f.sh("ip -o link show eth1")
					for _, loan := range noted {
						f.sh("ip link property add dev eth1 altname gangway-" + netID + "-" + loan)
					}
					if network {
						f.ensurePort(p, joined, raised)
						f.ok(f.DeleteLANPort(context.Background(), p))
					} else {
						_, err := f.Prune(context.Background(), nil, nil)
						f.ok(err)
					}
					f.same(settled(before), settled(f.sh("ip -o link show eth1")))
				})
			})
		}
	}
}

// TestLANPackets: by an uplink a container sends and gets frames of the LAN, ARP and neighbour discovery among them, as
// itself alone: none gets there with an address of somebody on the LAN.
func TestLANPackets(t *testing.T) {
	uplinked(t, func(f fixture, b spec.Bridge, p spec.LANPort) {
		f.ensurePort(p, joined, raised)
		v := pair(b.Name)
		v.MTU = 1500
		v.Addresses = []netip.Addr{netip.MustParseAddr("10.7.0.2"), netip.MustParseAddr("fd07::2")}
		v.Reserved = prefixes("10.7.0.0/24", "fd07::/64")
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.sh("ip link set " + v.Peer + " up")
		f.eventually("forwarding ports", func() error {
			if show := f.sh("bridge link"); strings.Count(show, "state forwarding") != 2 {
				return errors.New(show)
			}
			return nil
		})
		w := &wire{fixture: f, sender: v}
		container, cable := w.socket(v.Peer), w.socket("cable")
		arrives := func(out, in int, src net.HardwareAddr, frame []byte) bool {
			w.frames++
			last := slices.Concat(everybody, src, []byte{0x88, 0xb5}, binary.BigEndian.AppendUint32([]byte("last"), w.frames))
			w.send(out, frame)
			w.send(out, last)
			return w.hears(in, frame, last)
		}
		for _, c := range framesOf(v) {
			if got := arrives(container, cable, v.MAC, c.data); got != c.own {
				t.Errorf("%s gets to the LAN: %t, want %t", c.name, got, c.own)
			}
		}
		neighbour := net.HardwareAddr{2, 0x4c, 0x41, 0x4e, 0, 9}
		for _, a := range []string{"10.7.0.9", "fd07::9"} {
			ask, announce := link.Questions(netip.MustParseAddr(a), neighbour)
			if !arrives(cable, container, neighbour, ask) || !arrives(cable, container, neighbour, announce) {
				t.Errorf("the container hears nothing of %s", a)
			}
		}
	})
}
