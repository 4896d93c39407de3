package link_test

import (
	"context"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

// guarded is a pair of a container that may use its own addresses only.
func guarded(v spec.Veth) spec.Veth {
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

// TestGuardDrift: whatever somebody does to the filter is found and mended, and
// an option that lets containers send what they like leaves the link alone.
func TestGuardDrift(t *testing.T) {
	tests := map[string][]string{
		"filter removed":  {"tc filter del dev HOST ingress prio 1"},
		"clsact removed":  {"tc qdisc del dev HOST clsact"},
		"other program":   {"tc filter change dev HOST ingress prio 1 protocol all handle 1 bpf direct-action bytecode 1,6~0~0~0"},
		"other protocol":  {"tc filter del dev HOST ingress prio 1", "tc filter add dev HOST ingress prio 1 protocol ip bpf direct-action bytecode 1,6~0~0~0"},
		"ingress instead": {"tc qdisc del dev HOST clsact", "tc qdisc add dev HOST ingress"},
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			bridged(t, func(f fixture, v spec.Veth) {
				v = guarded(v)
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
		f.contains(f.sh("tc qdisc show dev "+v.Host), "noqueue")
		f.tc("tc qdisc add dev " + v.Host + " clsact")
		f.tc("tc filter add dev " + v.Host + " ingress prio 1 protocol all handle 1 bpf direct-action bytecode 1,6~0~0~0")
		f.ensureVeth(v)
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

// TestGuardFollows: a changed address of the bridge and an upgrade from a state
// without guards are mended like everything else.
func TestGuardFollows(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		line := strings.ReplaceAll(unguarded, "HOST", v.Host)
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		v = guarded(v)
		f.ensureVeth(v, line)
		v.Isolated = true
		f.ensureVeth(v, line, "veth "+v.Host+": broadcast from other ports was true: set to false",
			"veth "+v.Host+": multicast from other ports was true: set to false")
		f.sh("ip link set br0 address 02:00:00:00:00:77")
		f.ensureVeth(v, line)
	})
}

// TestGuardNewBridge: a bridge that takes its address from its first port has
// the right one in the filter of that port.
func TestGuardNewBridge(t *testing.T) {
	bridged(t, func(f fixture, v spec.Veth) {
		v.Isolated = true
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
	})
}

// TestProbeGuard: nothing remains of the try, of one that was cut short neither.
func TestProbeGuard(t *testing.T) {
	inside(t, func(f fixture) {
		empty := f.dump()
		f.ok(f.ProbeGuard(context.Background()))
		f.unchanged("the try", empty)
		f.sh("ip link add gangway-probe group 18263 type bridge")
		f.ok(f.ProbeGuard(context.Background()))
		f.unchanged("the try after one that was cut short", empty)
		f.sh("ip link add gangway-probe type veth peer name other")
		f.refuses("the try", func() error { return f.ProbeGuard(context.Background()) }, "gangway-probe")
	})
}

// BenchmarkVeth shows what the guard adds to making and checking a pair.
func BenchmarkVeth(b *testing.B) {
	h, err := link.New(link.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	ctx := context.Background()
	bridge := dualStack()
	bridge.MTU = 0
	if _, err := h.EnsureBridge(ctx, bridge); err != nil {
		b.Fatal(err)
	}
	plain := pair(bridge.Name)
	plain.Addresses = guarded(plain).Addresses
	isolated := guarded(plain)
	isolated.Isolated = true
	for name, v := range map[string]spec.Veth{"plain": plain, "guarded": guarded(plain), "isolated": isolated} {
		b.Run("create/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := h.EnsureVeth(ctx, v); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := h.DeleteVeth(ctx, v); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
		b.Run("check/"+name, func(b *testing.B) {
			if _, err := h.EnsureVeth(ctx, v); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if fixed, err := h.EnsureVeth(ctx, v); err != nil || fixed != nil {
					b.Fatal(fixed, err)
				}
			}
			if err := h.DeleteVeth(ctx, v); err != nil {
				b.Fatal(err)
			}
		})
	}
	b.Run("probe", func(b *testing.B) {
		for b.Loop() {
			if err := h.ProbeGuard(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	if _, err := h.Sweep(ctx, nil, nil); err != nil {
		b.Fatal(err)
	}
}
