package link_test

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

func shaperOf(v spec.Veth, in, out spec.Shape) spec.Shaper {
	return spec.Shaper{EndpointID: v.EndpointID, Host: v.Host, Ifb: "gi-" + v.Host[3:], In: in, Out: out}
}

// mbit is a token bucket of so many.
func mbit(n uint64) spec.Shape {
	return spec.Shape{Rate: n * 125_000, Burst: uint32(max(16<<10, n*1250)), Queue: uint32(max(64<<10, n*12500))}
}

// TestShaperLife: bounds come, change, go one by one and with the pair, and leave nothing. What
// is as it should be is not amiss.
func TestShaperLife(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		ctx := context.Background()
		v.Reserved = prefixes("10.7.0.0/24")
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		empty := f.dump() + f.qdiscs(v.Host)
		s := shaperOf(v, mbit(10), spec.Shape{Rate: 6_000_000_000, Burst: 60_000_000, Queue: 1 << 30})
		if amiss, err := f.Amiss(ctx, []spec.Object{s}); err != nil || len(amiss) != 1 {
			t.Errorf("nothing is there: %v amiss, %v", amiss, err)
		}
		f.ensureShaper(s, v.Host+": the rate of what the container gets was not 10mbit/16384b: set",
			v.Host+": link "+s.Ifb+", by which what the container sends is kept to its rate, was missing: created",
			v.Host+": the rate of what the container sends was not 48gbit/60000000b: set",
			v.Host+": link "+s.Ifb+" was down: set up",
			v.Host+": what the container sends did not go by "+s.Ifb+": led there")
		f.ensureShaper(s)
		f.contains(f.sh("ip -d link show dev "+s.Ifb), "ifb", "alias gangway:"+epID, "UP")
		f.contains(f.sh("tc qdisc show dev "+v.Host), "tbf 4757: root", "rate 10Mbit", "ingress")
		f.contains(f.sh("tc qdisc show dev "+s.Ifb), "tbf 4757: root", "rate 48Gbit")
		f.contains(f.sh("tc filter show dev "+v.Host+" ingress"), "pref 18263 bpf", "Egress Redirect to device "+s.Ifb)

		s.In, s.Out = spec.Shape{}, mbit(1)
		f.ensureShaper(s, v.Host+": what the container gets was kept to a rate: not any more",
			v.Host+": the rate of what the container sends was not 1mbit/16384b: set")
		s.In, s.Out = mbit(1), spec.Shape{}
		f.ensureShaper(s, v.Host+": the rate of what the container gets was not 1mbit/16384b: set")
		if all := f.sh("ip link"); strings.Contains(all, s.Ifb) {
			t.Errorf("the ifb stays:\n%s", all)
		}
		f.ok(f.DeleteShaper(ctx, s))
		f.ok(f.DeleteShaper(ctx, s))
		if now := f.dump() + f.qdiscs(v.Host); now != empty {
			t.Errorf("before:\n%s\nafter:\n%s", empty, now)
		}
		// One that others have put there stays.
		f.sh("tc qdisc add dev " + v.Host + " root handle 7: tbf rate 1mbit burst 10k limit 10k")
		f.ok(f.DeleteShaper(ctx, s))
		f.contains(f.qdiscs(v.Host), "tbf 7: root")
		f.ok(f.DeleteVeth(ctx, v))
		if amiss, err := f.Amiss(ctx, []spec.Object{s}); err != nil || amiss != nil {
			t.Errorf("without the pair: %v amiss, %v", amiss, err)
		}
	})
}

func (f fixture) qdiscs(name string) string {
	f.t.Helper()
	return f.sh("tc qdisc show dev "+name) + f.sh("tc filter show dev "+name+" ingress")
}

func (f fixture) ensureShaper(s spec.Shaper, want ...string) {
	f.t.Helper()
	fixed, err := f.EnsureShaper(context.Background(), s)
	f.ok(err)
	if strings.Join(fixed, "\n") != strings.Join(want, "\n") {
		f.t.Errorf("fixed %q, want %q", fixed, want)
	}
	if amiss, err := f.Amiss(context.Background(), []spec.Object{s}); err != nil || amiss != nil {
		f.t.Errorf("right after: %v amiss, %v", amiss, err)
	}
}

// TestShaperDrift: whatever somebody takes away is seen, and comes back.
func TestShaperDrift(t *testing.T) {
	for name, damage := range map[string]string{
		"bucket in":        "tc qdisc del dev HOST root",
		"other bucket in":  "tc qdisc replace dev HOST root handle 4757: tbf rate 20mbit burst 16k limit 64k",
		"foreign bucket":   "tc qdisc replace dev HOST root handle 1: tbf rate 1mbit burst 16k limit 64k",
		"bucket out":       "tc qdisc del dev IFB root",
		"other bucket out": "tc qdisc replace dev IFB root handle 4757: tbf rate 5mbit burst 99k limit 64k",
		"ifb":              "ip link del IFB",
		"ifb down":         "ip link set IFB down",
		"filter":           "tc filter del dev HOST ingress pref 18263",
		"all filters":      "tc qdisc del dev HOST ingress",
		"another filter":   "tc filter replace dev HOST ingress pref 18263 handle 1 bpf bytecode '1,6 0 0 0' action mirred egress mirror dev lo",
	} {
		t.Run(name, func(t *testing.T) {
			bridged(t, func(f fixture, v spec.Veth) {
				ctx := context.Background()
				f.ensureVeth(v, "veth "+v.Host+" was missing: created")
				s := shaperOf(v, mbit(10), mbit(5))
				f.ensureSome(s)
				good := f.qdiscs(v.Host)
				line := strings.NewReplacer("HOST", v.Host, "IFB", s.Ifb).Replace(damage)
				out, err := exec.Command("sh", "-c", line).CombinedOutput()
				if err != nil {
					f.t.Errorf("%s: %v: %s", line, err, out)
				}
				amiss, err := f.Amiss(ctx, []spec.Object{s})
				if err != nil || len(amiss) != 1 {
					t.Errorf("%v amiss, %v", amiss, err)
				}
				_, err = f.EnsureVeth(ctx, v)
				f.ok(err)
				fixed, err := f.EnsureShaper(ctx, s)
				if err != nil || len(fixed) == 0 {
					t.Errorf("fixed %q, %v", fixed, err)
				}
				f.ensureShaper(s)
				if now := f.qdiscs(v.Host); !strings.Contains(damage, "link") && len(now) != len(good) {
					t.Errorf("was\n%s\nis\n%s", good, now)
				}
			})
		})
	}
}

// TestShaperPruned: the ifb of a pair that is known stays, as long as it is wanted; another
// goes, and one of somebody else is left alone and in the way.
func TestShaperPruned(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		ctx := context.Background()
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		s := shaperOf(v, spec.Shape{}, mbit(5))
		f.sh("ip link add " + s.Ifb + " alias mine type ifb")
		f.sh("ip link set " + s.Ifb + " alias mine")
		if _, err := f.EnsureShaper(ctx, s); err == nil || !strings.Contains(err.Error(), "is not the endpoint's; remove or rename it") {
			t.Errorf("over somebody's link: %v", err)
		}
		f.sh("ip link del " + s.Ifb)
		_, err := f.EnsureShaper(ctx, s)
		f.ok(err)
		v.Ifb = s.Ifb
		if removed, err := f.Prune(ctx, nil, []spec.Veth{v}); err != nil || removed != nil {
			t.Errorf("pruned %q, %v", removed, err)
		}
		v.Ifb = ""
		if check, err := f.Check(ctx, spec.Scope{All: true}, nil, []spec.Veth{v}); err != nil || !check.Orphans[s.Ifb] {
			t.Errorf("no orphan: %+v, %v", check, err)
		}
		if removed, err := f.Prune(ctx, nil, []spec.Veth{v}); err != nil || len(removed) != 1 || !strings.Contains(removed[0], "ifb "+s.Ifb+" of the unknown endpoint") {
			t.Errorf("pruned %q, %v", removed, err)
		}
	})
}

// TestShaperBehindPortFilter: what the port filter drops does not come by the ifb, and what it
// passes does.
func TestShaperBehindPortFilter(t *testing.T) {
	bridged(t, func(f fixture, _ spec.Veth) {
		w := newWire(f, func(v spec.Veth) spec.Veth { v.Reserved = prefixes("10.7.0.0/24"); return v })
		f.ensureSome(shaperOf(w.sender, mbit(10), mbit(10)))
		frame := func(src net.HardwareAddr) []byte {
			return append(append(append([]byte{}, everybody...), src...), append([]byte{0x88, 0xb5}, make([]byte, 46)...)...)
		}
		if there, _ := w.arrives(frame(w.sender.MAC)); !there {
			t.Error("a frame of the container does not arrive")
		}
		passed := f.counters("gi-" + w.sender.Host[3:]).Tx.Packets
		if passed == 0 {
			t.Error("nothing came by the ifb")
		}
		const refused = 50
		for range refused {
			w.send(w.from, frame(net.HardwareAddr{2, 0, 0, 0, 0, 9}))
		}
		if there, _ := w.arrives(frame(net.HardwareAddr{2, 0, 0, 0, 0, 9})); there {
			t.Error("a frame in another name arrives")
		}
		// The container's kernel sends some of its own.
		if now := f.counters("gi-" + w.sender.Host[3:]).Tx.Packets; now > passed+refused/2 {
			t.Errorf("%d more frames came by the ifb", now-passed)
		}
	})
}
