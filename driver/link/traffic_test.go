package link_test

import (
	"context"
	"encoding/json"
	"fmt"
	"syscall"
	"testing"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestTraffic: what a container sends and gets is counted for it, in the kernel's own
// numbers, and other links count for nobody.
func TestTraffic(t *testing.T) {
	bridged(t, func(f fixture, _ spec.Veth) {
		if got := f.traffic(); len(got) > 0 {
			t.Errorf("traffic without pairs: %v", got)
		}
		f.sh("ip link add other type veth peer name others")
		f.sh("ip link set other alias gangway") // not quite the mark
		f.sh("ip link add marked type bridge")
		f.sh("ip link set marked alias gangway:" + otherID)
		w := newWire(f, func(v spec.Veth) spec.Veth { return v })
		const frames, size = 50, 1000
		data := make([]byte, size)
		copy(data, hostMAC)
		copy(data[6:], w.sender.MAC)
		before := f.traffic()[epID]
		for range frames {
			w.arrives(data)
		}
		after := f.traffic()
		if len(after) != 2 || after["near"] == (spec.Traffic{}) {
			t.Errorf("traffic: %v, want that of two endpoints", after)
		}
		// The kernel sends some packets of its own.
		sent, got := after[epID].SentBytes-before.SentBytes, after[epID].ReceivedBytes-before.ReceivedBytes
		if sent < frames*size || sent >= 2*frames*size || got >= frames*size || after[epID].SentPackets-before.SentPackets < frames {
			t.Errorf("%d frames of %d bytes sent: %+v, before: %+v", frames, size, after[epID], before)
		}
		kernel := f.counters(w.sender.Host)
		last := f.traffic()[epID]
		for _, n := range [][3]uint64{
			{after[epID].SentBytes, kernel.Rx.Bytes, last.SentBytes}, {after[epID].SentPackets, kernel.Rx.Packets, last.SentPackets},
			{after[epID].ReceivedBytes, kernel.Tx.Bytes, last.ReceivedBytes}, {after[epID].ReceivedPackets, kernel.Tx.Packets, last.ReceivedPackets},
		} {
			if n[0] > n[1] || n[1] > n[2] {
				t.Errorf("the kernel says %+v; traffic %+v, then %+v", kernel, after[epID], last)
			}
		}
	})
}

func (f fixture) traffic() map[string]spec.Traffic {
	f.t.Helper()
	all, err := f.Traffic(context.Background())
	f.ok(err)
	return all
}

// counters are the numbers of a link's packets.
type counters struct {
	Rx, Tx struct{ Bytes, Packets uint64 }
}

// counters are what ip(8) shows of a link.
func (f fixture) counters(name string) counters {
	f.t.Helper()
	var shown []struct{ Stats64 counters }
	f.ok(json.Unmarshal([]byte(f.sh("ip -s -j link show dev "+name)), &shown))
	if len(shown) != 1 {
		f.t.Errorf("%d links are named %s", len(shown), name)
		return counters{}
	}
	return shown[0].Stats64
}

// BenchmarkTraffic is one look at the traffic of so many pairs. What counts is the processor
// time: a look waits for the kernel and for nothing else.
func BenchmarkTraffic(b *testing.B) {
	h, err := link.New(link.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	ctx := context.Background()
	bridge := spec.Bridge{Name: "gw-check", NetworkID: "check"}
	if _, err := h.EnsureBridge(ctx, bridge); err != nil {
		b.Fatal(err)
	}
	const pairs = 200
	containers(b, h, bridge, pairs)
	defer func() {
		if _, err := h.Prune(ctx, nil, nil); err != nil {
			b.Fatal(err)
		}
	}()
	b.Run(fmt.Sprintf("pairs=%d", pairs), func(b *testing.B) {
		before := processor(b, syscall.RUSAGE_SELF)
		for b.Loop() {
			if all, err := h.Traffic(ctx); err != nil || len(all) != pairs {
				b.Fatal(len(all), err)
			}
		}
		b.ReportMetric(float64(processor(b, syscall.RUSAGE_SELF)-before)/float64(b.N), "cpu-ns/op")
	})
}
