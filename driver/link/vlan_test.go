package link_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/testkit"
)

// hasVLANs says whether the kernel makes VLANs.
func (f fixture) hasVLANs() bool {
	f.t.Helper()
	made := exec.Command("ip", "link", "add", "link", "eth1", "name", "try.1", "type", "vlan", "id", "1").Run() == nil
	if made {
		f.sh("ip link del try.1")
	}
	return made
}

// vlans is uplinked, on kernels that have VLANs. One that has none refuses them, and names the
// module that is missing; TestVLANs of integration/kernels runs these tests on one that has.
func vlans(t *testing.T, do func(f fixture, b spec.Bridge, p spec.LANPort)) {
	t.Helper()
	uplinked(t, func(f fixture, b spec.Bridge, p spec.LANPort) {
		p.Link, p.Trunk, p.VLAN = "eth1.30", "eth1", 30
		switch {
		case f.hasVLANs():
			do(f, b, p)
		case testkit.OtherKernel():
			f.t.Error("this kernel has no VLANs, and Debian's have")
		default:
			f.refuses("EnsureLANPort", func() error { _, err := f.EnsureLANPort(context.Background(), p); return err }, "eth1.30", "8021q")
		}
	})
}

const madeVLAN, trunkUp = "VLAN link eth1.30 was missing: created", "link eth1 was down: set up"

func joinedAs(link string) string {
	return "link " + link + " was no port of bridge gw-0123456789ab: put into it"
}

func upAs(link string) string { return "link " + link + " was down: set up" }

// TestVLAN: a VLAN that is missing is made, made again as its trunk comes back, and goes with the network, after which the
// trunk is as it was. One that was there stays.
func TestVLAN(t *testing.T) {
	ctx := context.Background()
	for _, there := range []bool{false, true} {
		for name, end := range map[string]func(fixture, spec.LANPort){
			"removed": func(f fixture, p spec.LANPort) { f.ok(f.DeleteLANPort(ctx, p)) },
			"pruned": func(f fixture, p spec.LANPort) {
				f.another(func(f fixture) { _, err := f.Prune(ctx, nil, nil); f.ok(err) })
			},
		} {
			t.Run(name, func(t *testing.T) {
				vlans(t, func(f fixture, b spec.Bridge, p spec.LANPort) {
					want := []string{madeVLAN, trunkUp, joinedAs(p.Link), upAs(p.Link)}
					if there {
						f.sh("ip link add link eth1 name eth1.30 type vlan id 30")
						f.sh("ip link set eth1 up")
						want = want[2:3] // the kernel sets it up with its trunk
					}
					before := f.sh("ip -o -d link show eth1")
					f.ensurePort(p, want...)
					f.contains(f.sh("ip -d link show eth1.30"), "vlan protocol 802.1Q id 30", "master "+b.Name, "eth1.30@eth1", "UP", "group default")
					c, err := f.Check(ctx, spec.Scope{All: true}, []spec.Bridge{b}, nil)
					f.ok(err)
					f.same(map[string]bool{}, c.Orphans)
					f.sh("ip link set eth1 down")
					found, err := f.Amiss(ctx, []spec.Object{p})
					f.ok(err)
					f.same([]spec.Object{p}, found)
					if there {
						f.refuses("EnsureLANPort", func() error { _, refused := f.EnsureLANPort(ctx, p); return refused }, "the link below it is down")
						f.sh("ip link set eth1 up")
					}
					_, err = f.EnsureLANPort(ctx, p)
					f.ok(err)
					f.ensurePort(p)
					end(f, p)
					left := exec.Command("ip", "link", "show", "eth1.30").Run() == nil
					f.same(there, left)
					if d := cmp.Diff(settled(before), settled(f.sh("ip -o -d link show eth1"))); d != "" {
						t.Errorf("given back (-before +after):\n%s", d)
					}
				})
			})
		}
	}
}

// TestVLANTrunkGone: a trunk that is gone takes its VLAN along; as it comes back, so does that.
func TestVLANTrunkGone(t *testing.T) {
	vlans(t, func(f fixture, _ spec.Bridge, p spec.LANPort) {
		_, err := f.EnsureLANPort(context.Background(), p)
		f.ok(err)
		f.sh("ip link del eth1")
		f.refuses("EnsureLANPort", func() error { _, err := f.EnsureLANPort(context.Background(), p); return err }, "nor a link eth1 to make VLAN 30 on")
		f.sh("ip link add eth1 type veth peer name cable")
		f.ensurePort(p, madeVLAN, trunkUp, joinedAs(p.Link), upAs(p.Link))
	})
}

// TestVLANsOfATrunk: each network has its own VLAN of one trunk, which is down again with the last of them; a VLAN that another
// link has is refused by name, and so is one that another network has.
func TestVLANsOfATrunk(t *testing.T) {
	ctx := context.Background()
	vlans(t, func(f fixture, b spec.Bridge, p spec.LANPort) {
		before := f.sh("ip -o link show eth1")
		f.ensurePort(p, madeVLAN, trunkUp, joinedAs(p.Link), upAs(p.Link))
		c, q := b, p
		c.Name, c.NetworkID = "gw-fedcba987654", otherID
		q.Link, q.VLAN, q.Bridge, q.NetworkID = "eth1.4094", 4094, c.Name, otherID
		f.ensure(c, "bridge "+c.Name+" was missing: created")
		_, err := f.EnsureLANPort(ctx, q)
		f.ok(err)
		same := q
		same.Link, same.VLAN = p.Link, p.VLAN
		f.refuses("EnsureLANPort", func() error { _, err := f.EnsureLANPort(ctx, same); return err }, "is a port of another link")
		f.sh("ip link add link eth1 name office type vlan id 7")
		same.Link, same.VLAN = "eth1.7", 7
		f.refuses("EnsureLANPort", func() error { _, err := f.EnsureLANPort(ctx, same); return err }, "has VLAN 7 already", "another name")
		f.sh("ip link del office")

		f.ok(f.DeleteLANPort(ctx, p))
		f.contains(f.sh("ip link show eth1"), "UP")
		f.contains(f.sh("ip link show eth1.4094"), "UP", "master "+c.Name)
		f.ok(f.DeleteLANPort(ctx, q))
		f.same(settled(before), settled(f.sh("ip -o link show eth1")))
	})
}

// TestVLANHalfway: a process that ends at whatever step leaves nothing that the next one does not make whole or take away.
func TestVLANHalfway(t *testing.T) {
	ctx := context.Background()
	for _, whole := range []bool{true, false} {
		steps, ran := 0, false
		for ended := false; !ended && !t.Failed(); steps++ {
			ended = true // where there are no VLANs
			vlans(t, func(f fixture, _ spec.Bridge, p spec.LANPort) {
				before, err := f.sh("ip -o link show eth1"), error(nil)
				f.another(func(f fixture) { f.StopBefore(steps); _, err = f.EnsureLANPort(ctx, p) })
				ended, ran = err == nil, true
				if whole {
					_, err = f.EnsureLANPort(ctx, p)
					f.ok(err)
					f.ensurePort(p)
				}
				f.ok(f.DeleteLANPort(ctx, p))
				f.same(settled(before), settled(f.sh("ip -o link show eth1")))
				if out, err := exec.Command("ip", "link", "show", "type", "vlan").Output(); err != nil || strings.TrimSpace(string(out)) != "" {
					t.Errorf("killed before step %d: left %s (%v)", steps, out, err)
				}
			})
		}
		if ran && steps < 6 {
			t.Errorf("%d steps", steps)
		}
	}
}

// TestVLANPackets: by a VLAN's bridge frames of that VLAN come in, and of no other.
func TestVLANPackets(t *testing.T) {
	vlans(t, func(f fixture, b spec.Bridge, p spec.LANPort) {
		_, err := f.EnsureLANPort(context.Background(), p)
		f.ok(err)
		for _, id := range []string{"30", "31"} {
			f.sh("ip link add link cable name cable." + id + " type vlan id " + id)
			f.sh("ip link set cable." + id + " up")
		}
		f.eventually("forwarding port", func() error {
			if show := f.sh("bridge link show dev eth1.30"); !strings.Contains(show, "state forwarding") {
				return errors.New(show)
			}
			return nil
		})
		w := &wire{fixture: f}
		ear, same, other := w.socket(b.Name), w.socket("cable.30"), w.socket("cable.31")
		frame := func(text string) []byte {
			return slices.Concat(everybody, []byte{2, 0, 0, 0, 0, 7, 0x88, 0xb5}, []byte(text))
		}
		for by, want := range map[int]bool{same: true, other: false} {
			tried, last := frame(fmt.Sprint("try by ", by)), frame(fmt.Sprint("last by ", by))
			w.send(by, tried)
			w.send(same, last)
			if got := w.hears(ear, tried, last); got != want {
				t.Errorf("heard: %t, want %t", got, want)
			}
		}
	})
}
