package link_test

import (
	"context"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"

	"github.com/gangway-net/gangway/integration/testkit"
)

// flow is a frame each millisecond from one socket to another.
type flow struct {
	*wire
	from, ear int
	header    []byte
	sent      []span
	stop      atomic.Bool
	done      chan struct{}
}

// span is when something began and ended.
type span struct{ began, ended time.Time }

func (s span) overlaps(o span) bool { return s.began.Before(o.ended) && o.began.Before(s.ended) }

func (w *wire) flow(from, ear int, dst, src []byte) *flow {
	w.t.Helper()
	w.ok(unix.SetsockoptInt(ear, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<24)) // all frames of a test
	f := &flow{wire: w, from: from, ear: ear, header: slices.Concat(dst, src, []byte{0x88, 0xb6}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		for every := time.NewTicker(time.Millisecond); !f.stop.Load(); <-every.C {
			began := time.Now()
			w.send(from, binary.BigEndian.AppendUint32(slices.Clone(f.header), uint32(len(f.sent))))
			f.sent = append(f.sent, span{began, time.Now()})
		}
	}()
	return f
}

// lost ends the flow and returns when those frames were sent that did not arrive.
func (f *flow) lost() (lost []span) {
	f.t.Helper()
	f.stop.Store(true)
	<-f.done
	came := make([]bool, len(f.sent))
	f.ok(unix.SetsockoptTimeval(f.ear, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}))
	for buf := make([]byte, 2048); len(came) > 0 && !came[len(came)-1]; {
		n, _, err := testkit.Receive(f.ear, buf)
		if err != nil {
			break
		}
		if n == len(f.header)+4 && slices.Equal(buf[:len(f.header)], f.header) {
			came[binary.BigEndian.Uint32(buf[len(f.header):])] = true
		}
	}
	for i, ok := range came {
		if !ok {
			lost = append(lost, f.sent[i])
		}
	}
	return lost
}

// TestPortFilterUnderTraffic: a container that runs and gets its filter only now, as
// after an upgrade, loses nothing that it sends, and of what is sent to it only
// what comes while the kernel adds the qdisc. Another filter costs nothing.
func TestPortFilterUnderTraffic(t *testing.T) {
	bridged(t, func(f fixture, _ spec.Veth) {
		w := newWire(f, func(v spec.Veth) spec.Veth { v.Addresses = filtered(v).Addresses; return v })
		v := filtered(w.sender)
		lost := w.lossOf("the first filter", v)
		if lost > 0 {
			t.Logf("%d frames to the container are lost, of one each millisecond", lost)
		}
		v.Reserved = v.Reserved[:1]
		if lost = w.lossOf("another filter", v); lost > 0 {
			t.Errorf("another filter: %d frames to the container are lost", lost)
		}
	})
}

// lossOf mends the sender's pair under traffic and returns how many frames to it
// are lost. None is that was sent before or afterwards, and none of its own.
func (w *wire) lossOf(what string, v spec.Veth) int {
	w.t.Helper()
	out := w.flow(w.from, w.hostEar, hostMAC, v.MAC)
	in := w.flow(w.host, w.socket(v.Peer), v.MAC, hostMAC)
	const around = 100 * time.Millisecond
	time.Sleep(around)
	mending := span{began: time.Now()}
	lines, err := w.EnsureVeth(context.Background(), v)
	mending.ended = time.Now()
	time.Sleep(around)
	w.ok(err)
	if len(lines) != 1 {
		w.t.Errorf("%s: mended %q", what, lines)
	}
	out.stop.Store(true)
	lost := in.lost()
	for _, s := range lost {
		if !s.overlaps(mending) {
			w.t.Errorf("%s: a frame is lost that was sent %s after the mending began, which took %s", what, s.began.Sub(mending.began), mending.ended.Sub(mending.began))
		}
	}
	if own := len(out.lost()); own > 0 {
		w.t.Errorf("%s: %d of %d frames from the container are lost", what, own, len(out.sent))
	}
	return len(lost)
}
