package link_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/testkit"
)

// watched is a wire beside which a third container watches.
type watched struct {
	*wire
	watcher spec.Veth
	// eye hears what comes to who watches.
	eye int
}

func newWatched(f fixture) *watched {
	f.t.Helper()
	w := &watched{wire: newWire(f, func(v spec.Veth) spec.Veth { return v }), watcher: pair("br0")}
	w.watcher.EndpointID, w.watcher.Host, w.watcher.Peer = "watcher", "gv-watcher", "gp-watcher"
	w.watcher.MAC, w.watcher.Addresses = net.HardwareAddr{2, 0x42, 10, 7, 0, 4}, []netip.Addr{netip.MustParseAddr("10.7.0.4")}
	f.ensureVeth(w.watcher, "veth "+w.watcher.Host+" was missing: created")
	f.sh("ip link set " + w.watcher.Peer + " up")
	f.eventually("forwarding port", func() error {
		if show := f.sh("bridge link show dev " + w.watcher.Host); !bytes.Contains([]byte(show), []byte("state forwarding")) {
			return fmt.Errorf("%s", show)
		}
		return nil
	})
	w.eye = w.socket(w.watcher.Peer)
	// The bridge has to know where the others are.
	for peer, mac := range map[string]net.HardwareAddr{near(w.sender).Peer: near(w.sender).MAC, w.watcher.Peer: w.watcher.MAC} {
		w.send(w.socket(peer), slices.Concat(hostMAC, mac, []byte{0x88, 0xb5}, make([]byte, 46)))
	}
	return w
}

func (w *watched) mirrors() []spec.Mirror {
	one := func(from string, bridge bool) spec.Mirror {
		return spec.Mirror{EndpointID: w.watcher.EndpointID, To: w.watcher.Host, MAC: w.watcher.MAC, From: from, Bridge: bridge}
	}
	return []spec.Mirror{one("br0", true), one(w.sender.Host, false), one(near(w.sender).Host, false)}
}

// sees counts how often a frame that is sent comes to who watches, before one that always does.
func (w *watched) sees(from int, to, src net.HardwareAddr) (n int) {
	w.t.Helper()
	w.frames++
	frame := slices.Concat(to, src, []byte{0x88, 0xb5}, binary.BigEndian.AppendUint32([]byte("seen"), w.frames), make([]byte, 38))
	last := slices.Concat(w.watcher.MAC, hostMAC, []byte{0x88, 0xb5}, binary.BigEndian.AppendUint32([]byte("last"), w.frames), make([]byte, 38))
	w.send(from, frame)
	w.send(w.host, last)
	for buf, deadline := make([]byte, 2048), time.Now().Add(5*time.Second); time.Now().Before(deadline); {
		got, _, err := testkit.Receive(w.eye, buf)
		switch {
		case err != nil:
			w.t.Errorf("nothing comes to who watches any more: %v", err)
			return n
		case bytes.Equal(buf[:got], last):
			return n
		case bytes.Equal(buf[:got], frame):
			n++
		}
	}
	w.t.Error("what is for who watches does not come")
	return n
}

// TestMirror: who watches gets one copy of each frame that is for somebody else, of containers and
// of the host, also where they are kept to a rate; one of what is for everybody and for
// himself, as before; and none after the end.
func TestMirror(t *testing.T) {
	bridged(t, func(f fixture, _ spec.Veth) {
		ctx := context.Background()
		w := newWatched(f)
		receiver := near(w.sender).MAC
		want := func(when string, copies int) {
			t.Helper()
			for _, c := range []struct {
				name    string
				from    int
				to, src net.HardwareAddr
				n       int
			}{
				{"from a container to another", w.from, receiver, w.sender.MAC, copies},
				{"from a container to the host", w.from, hostMAC, w.sender.MAC, copies},
				{"from the host to a container", w.host, receiver, hostMAC, copies},
				{"from a container to everybody", w.from, everybody, w.sender.MAC, 1},
				{"from the host to everybody", w.host, everybody, hostMAC, 1},
				{"from a container to who watches", w.from, w.watcher.MAC, w.sender.MAC, 1},
			} {
				if n := w.sees(c.from, c.to, c.src); n != c.n {
					t.Errorf("%s: %d of a frame %s are seen, want %d", when, n, c.name, c.n)
				}
			}
		}
		want("before", 0)
		var all []spec.Object
		for _, m := range w.mirrors() {
			all = append(all, m)
			if fixed, err := f.EnsureMirror(ctx, m); err != nil || len(fixed) != 1 {
				t.Errorf("%s: %q, %v", m, fixed, err)
			}
		}
		if amiss, err := f.Amiss(ctx, all); err != nil || amiss != nil {
			t.Errorf("amiss: %v, %v", amiss, err)
		}
		want("watching", 1)
		f.ensureSome(shaperOf(w.sender, mbit(10), mbit(10)))
		want("beside a rate", 1)
		f.sh("tc filter del dev " + w.sender.Host + " ingress pref 18262")
		f.sh("tc qdisc del dev br0 clsact")
		if amiss, err := f.Amiss(ctx, all); err != nil || len(amiss) != 2 {
			t.Errorf("amiss after damage: %v, %v", amiss, err)
		}
		for _, m := range w.mirrors() {
			_, err := f.EnsureMirror(ctx, m)
			f.ok(err)
		}
		want("mended", 1)
		for _, m := range w.mirrors() {
			f.ok(f.DeleteMirror(ctx, m))
			f.ok(f.DeleteMirror(ctx, m))
		}
		want("after", 0)
	})
}
