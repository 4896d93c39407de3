package link_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/spec"
)

// TestPortDrops: the kernel counts what the filter takes for somebody else's, for who has
// sent it, and neither what passes nor what a port that reaches only the host keeps from
// its neighbours.
func TestPortDrops(t *testing.T) {
	for name, isolated := range map[string]bool{"filtered": false, "isolated": true} {
		t.Run(name, func(t *testing.T) {
			bridged(t, func(f fixture, _ spec.Veth) {
				w := newWire(f, func(v spec.Veth) spec.Veth {
					v = filtered(v)
					v.Isolated = isolated
					return v
				})
				f.drops(map[string]uint64{epID: 0, "near": 0})
				want := uint64(0)
				for _, frame := range framesOf(w.sender) {
					data := frame.data
					if isolated {
						data = slices.Concat(hostMAC, data[6:])
					}
					w.arrives(data)
					if !frame.own {
						want++
					}
					f.drops(map[string]uint64{epID: want, "near": 0})
				}
				if !isolated {
					return
				}
				multicast := []byte{0x33, 0x33, 0, 0, 0, 0x16}
				for _, to := range [][]byte{near(w.sender).MAC, multicast} {
					for _, frame := range framesOf(w.sender) {
						// The host is to hear this, and it is somebody else's.
						if &to[0] == &multicast[0] && strings.HasPrefix(frame.name, "advertisement for") {
							want++
						}
						if there, _ := w.arrives(slices.Concat(to, frame.data[6:])); there {
							t.Errorf("%s to %x arrives", frame.name, to)
						}
					}
				}
				got, err := f.PortDrops(context.Background())
				f.ok(err)
				if d := cmp.Diff(map[string]uint64{epID: want, "near": 0}, got); d != "" {
					t.Errorf("what is for neighbours is counted (-want +got):\n%s", d)
				}
			})
		})
	}
	bridged(t, func(f fixture, v spec.Veth) {
		f.drops(map[string]uint64{})
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.sh("ip link add other type bridge")
		f.sh("tc qdisc add dev other ingress")
		f.drops(map[string]uint64{epID: 0})
	})
}

func (f fixture) drops(want map[string]uint64) {
	f.t.Helper()
	got, err := f.PortDrops(context.Background())
	f.ok(err)
	if len(got)+len(want) == 0 {
		return
	}
	if d := cmp.Diff(want, got); d != "" {
		f.t.Errorf("drops (-want +got):\n%s", d)
	}
}
