package link_test

import (
	"context"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

// filtered is a pair of a container that may use its own addresses only.
func filtered(v spec.Veth) spec.Veth {
	v.Addresses = []netip.Addr{netip.MustParseAddr("10.7.0.2"), netip.MustParseAddr("fd07::2")}
	v.Reserved = prefixes("10.7.0.0/24", "fd07::/64")
	return v
}

const unguarded = "veth HOST: the filter of what the container sends was missing or another: set"

// filter describes what filters there are on a link.
func (f fixture) filter(name string) string {
	f.t.Helper()
	return f.sh("tc filter show dev " + name + " ingress")
}

// TestPortFilterDrift: whatever somebody does to the filter is found and mended, that of a
// container that may send in any name as well.
func TestPortFilterDrift(t *testing.T) {
	tests := map[string][]string{
		"filter removed": {"tc filter del dev HOST ingress prio 1"},
		"qdisc removed":  {"tc qdisc del dev HOST ingress"},
		"other program":  {"tc filter change dev HOST ingress prio 1 protocol all handle 1 bpf direct-action bytecode 1,6~0~0~0"},
		"other protocol": {"tc filter del dev HOST ingress prio 1", "tc filter add dev HOST ingress prio 1 protocol ip bpf direct-action bytecode 1,6~0~0~0"},
		"clsact instead": {"tc qdisc del dev HOST ingress", "tc qdisc add dev HOST clsact"},
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			bridged(t, func(f fixture, v spec.Veth) {
				v = filtered(v)
				f.ensureVeth(v, "veth "+v.Host+" was missing: created")
				whole := f.filter(v.Host)
				f.contains(whole, "protocol all pref 1 bpf chain 0 handle 0x1 direct-action", "bytecode")
				for _, line := range damage {
					f.tc(strings.ReplaceAll(line, "HOST", v.Host))
				}
				f.ensureVeth(v, strings.ReplaceAll(unguarded, "HOST", v.Host))
				if now := f.filter(v.Host); now != whole {
					t.Errorf("the filter is\n%s, want\n%s", now, whole)
				}
			})
		})
	}
	bridged(t, func(f fixture, v spec.Veth) {
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		whole := f.filter(v.Host)
		f.contains(whole, "bytecode")
		f.tc("tc filter del dev " + v.Host + " ingress prio 1")
		f.ensureVeth(v, strings.ReplaceAll(unguarded, "HOST", v.Host))
		if now := f.filter(v.Host); now != whole {
			t.Errorf("of a port that may send in any name: %s, want %s", now, whole)
		}
	})
}

// tc runs a command line in which ~ stands for a blank within an argument.
func (f fixture) tc(line string) {
	f.t.Helper()
	args := strings.Fields(line)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "~", " ")
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		f.t.Errorf("%s: %v: %s", line, err, out)
	}
}

// TestPortFilterFollows: a changed address of the bridge and an upgrade from a state
// without filters are mended like everything else.
func TestPortFilterFollows(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		line := strings.ReplaceAll(unguarded, "HOST", v.Host)
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		v = filtered(v)
		f.ensureVeth(v, line)
		v.Isolated = true
		f.ensureVeth(v, line, "veth "+v.Host+": broadcast from other ports was true: set to false",
			"veth "+v.Host+": multicast from other ports was true: set to false")
		f.sh("ip link set br0 address 02:00:00:00:00:77")
		f.ensureVeth(v, line)
	})
}

// TestPortFilterNewBridge: a bridge that takes its address from its first port has
// the right one in the filter of that port.
func TestPortFilterNewBridge(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		v.Isolated = true
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
	})
}

// TestProbePortFilter: nothing remains of the try, of one that was cut short neither.
func TestProbePortFilter(t *testing.T) {
	inside(t, func(f fixture) {
		empty := f.dump()
		f.ok(f.ProbePortFilter(context.Background()))
		f.unchanged("the try", empty)
		f.sh("ip link add gangway-probe group 18263 type bridge")
		f.ok(f.ProbePortFilter(context.Background()))
		f.unchanged("the try after one that was cut short", empty)
		f.sh("ip link add gangway-probe type veth peer name other")
		f.refuses("the try", func() error { return f.ProbePortFilter(context.Background()) }, "gangway-probe")
	})
}

// BenchmarkFrame shows what the filter adds to the processor time of a frame
// from one container to another. What else the machine does counts little in it.
func BenchmarkFrame(b *testing.B) {
	for name, change := range map[string]func(spec.Veth) spec.Veth{
		"none":     func(v spec.Veth) spec.Veth { v.Addresses = filtered(v).Addresses; return v },
		"filtered": filtered,
	} {
		b.Run(name, func(b *testing.B) {
			h, err := link.New(link.Options{})
			if err != nil {
				b.Fatal(err)
			}
			f := fixture{h, b}
			defer h.Close()
			f.sh("ip link add br0 up type bridge")
			w := newWire(f, change)
			for _, frame := range framesOf(w.sender) {
				if frame.name == "packet" {
					measure(b, w, slices.Concat(near(w.sender).MAC, frame.data[6:]))
				}
			}
			f.ok(h.DeleteVeth(context.Background(), w.sender))
			f.ok(h.DeleteVeth(context.Background(), near(w.sender)))
			f.sh("ip link del br0")
		})
	}
}

func measure(b *testing.B, w *wire, frame []byte) {
	b.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b.ResetTimer()
	start := processor(b, unix.RUSAGE_THREAD)
	for range b.N {
		w.send(w.from, frame)
	}
	b.ReportMetric(float64(processor(b, unix.RUSAGE_THREAD)-start)/float64(b.N), "cpu-ns/frame")
}

// processor is the time that the thread, or the process, has had a processor, in
// nanoseconds.
func processor(b *testing.B, who int) int64 {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkPortFilter shows what the filter adds to making a pair and to checking one,
// and what the try at the daemon's start takes.
func BenchmarkPortFilter(b *testing.B) {
	h, err := link.New(link.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	ctx := context.Background()
	bridge := dualStack()
	bridge.MTU = 0
	must := func(_ []string, err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	must(h.EnsureBridge(ctx, bridge))
	plain := filtered(pair(bridge.Name))
	plain.Reserved = nil
	isolated := filtered(plain)
	isolated.Isolated = true
	// The first and the last filter of a host cost more: the kernel patches itself.
	another := near(filtered(plain))
	must(h.EnsureVeth(ctx, another))
	b.Run("attach", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			must(nil, h.DeleteVeth(ctx, plain))
			must(h.EnsureVeth(ctx, plain))
			attach, err := h.FilterOf(filtered(plain))
			must(nil, err)
			start := time.Now()
			must(nil, attach())
			took = append(took, time.Since(start))
		}
		must(nil, h.DeleteVeth(ctx, plain))
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns/attach")
	})
	for name, v := range map[string]spec.Veth{"none": plain, "filtered": filtered(plain), "isolated": isolated} {
		b.Run("check/"+name, func(b *testing.B) {
			must(h.EnsureVeth(ctx, v))
			for b.Loop() {
				must(h.EnsureVeth(ctx, v))
			}
			must(nil, h.DeleteVeth(ctx, v))
		})
	}
	b.Run("probe", func(b *testing.B) {
		for b.Loop() {
			must(nil, h.ProbePortFilter(ctx))
		}
	})
	must(h.Prune(ctx, nil, nil))
}
