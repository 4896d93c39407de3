package link_test

import (
	"context"
	"fmt"
	"math"
	"net"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/gangway-net/gangway/driver/spec"
)

// shaped is a container behind a pair with bounds.
type shaped struct {
	fixture
	veth spec.Veth
	home netns.NsHandle
	room netns.NsHandle
}

const hostSide, roomSide = "10.7.0.1", "10.7.0.2"

// newShaped makes the pair, and puts its end into a namespace of its own.
func newShaped(f fixture, v spec.Veth) *shaped {
	f.t.Helper()
	f.ensureVeth(v, "veth "+v.Host+" was missing: created")
	f.sh("ip address add " + hostSide + "/24 dev br0")
	x := &shaped{fixture: f, veth: v}
	var err error
	x.home, err = netns.Get()
	f.ok(err)
	x.room, err = netns.New()
	f.ok(err)
	f.ok(netns.Set(x.home))
	f.sh("ip link set lo up")
	f.sh(fmt.Sprintf("ip link set %s netns /proc/%d/fd/%d", v.Peer, os.Getpid(), int(x.room)))
	x.inside(func() {
		f.sh("ip link set lo up")
		f.sh("ip address add " + roomSide + "/24 dev " + v.Peer)
		f.sh("ip link set " + v.Peer + " up")
	})
	return x
}

func (x *shaped) inside(do func()) {
	x.t.Helper()
	x.ok(netns.Set(x.room))
	defer func() { x.ok(netns.Set(x.home)) }()
	do()
}

// listen and dial are on one side: inside says on which.
func (x *shaped) listen(network string, inside bool) (l net.Listener, p net.PacketConn, to string) {
	x.t.Helper()
	do := func(side string) {
		var err error
		if network == "tcp" {
			l, err = net.Listen("tcp", side+":0")
			if err == nil {
				to = l.Addr().String()
			}
		} else {
			p, err = net.ListenPacket("udp", side+":0")
			if err == nil {
				to = p.LocalAddr().String()
			}
		}
		x.ok(err)
	}
	if inside {
		x.inside(func() { do(roomSide) })
	} else {
		do(hostSide)
	}
	return l, p, to
}

func (x *shaped) dial(network, to string, inside bool) (c net.Conn) {
	x.t.Helper()
	do := func() {
		var err error
		c, err = net.Dial(network, to)
		x.ok(err)
	}
	if inside {
		x.inside(do)
	} else {
		do()
	}
	return c
}

// measureTime is how long a rate is measured, after what came at once.
const measureTime = 2 * time.Second

// speed counts the bytes that read returns in measureTime, once warm bytes have come.
func speed(warm int, read func([]byte) (int, error)) (bytes float64, err error) {
	buf := make([]byte, 1<<16)
	for warm > 0 {
		n, err := read(buf)
		if err != nil {
			return 0, err
		}
		warm -= n
	}
	start := time.Now()
	for time.Since(start) < measureTime {
		n, err := read(buf)
		if err != nil {
			return 0, err
		}
		bytes += float64(n)
	}
	return bytes / time.Since(start).Seconds(), nil
}

// load opens a connection by which somebody sends all he can, and returns what reads it.
func (x *shaped) load(in bool) (read func([]byte) (int, error), end func()) {
	x.t.Helper()
	l, _, to := x.listen("tcp", in)
	c := x.dial("tcp", to, !in)
	go func() {
		for buf := make([]byte, 1<<16); ; {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}()
	peer, err := l.Accept()
	x.ok(err)
	return func(buf []byte) (int, error) {
		if err := peer.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return 0, err
		}
		return peer.Read(buf)
	}, func() { x.ok(c.Close()); x.ok(peer.Close()); x.ok(l.Close()) }
}

// tcp and udp return how many bytes a second arrive of a sender that sends all it can.
func (x *shaped) tcp(in bool) float64 {
	x.t.Helper()
	read, end := x.load(in)
	defer end()
	rate, err := speed(4<<20, read)
	x.ok(err)
	return rate
}

func (x *shaped) udp(in bool, payload int, perSecond float64) (rate float64, sent, got int) {
	x.t.Helper()
	_, p, to := x.listen("udp", in)
	defer func() { _ = p.Close() }()
	c := x.dial("udp", to, !in)
	done, stop := make(chan int), make(chan struct{})
	go func() {
		buf, n, start := make([]byte, payload), 0, time.Now()
		defer func() { done <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if perSecond > 0 && float64(n*payload) > time.Since(start).Seconds()*perSecond {
				time.Sleep(time.Millisecond)
				continue
			}
			if _, err := c.Write(buf); err == nil {
				n++
			}
		}
	}()
	read := func(buf []byte) (int, error) {
		if err := p.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return 0, err
		}
		n, _, err := p.ReadFrom(buf)
		if n > 0 {
			got++
		}
		return n, err
	}
	warm := 1 << 20
	if perSecond > 0 {
		warm = 1
	}
	rate, err := speed(warm, read)
	x.ok(err)
	close(stop)
	sent = <-done
	x.ok(c.Close())
	for perSecond > 0 && got < sent {
		if n, err := read(make([]byte, 1<<16)); n == 0 || err != nil {
			break
		}
	}
	return rate, sent, got
}

// TestShaperKeepsRate: TCP and UDP come within 5 % of the rate in either direction, as frames
// with Ethernet's header; below it nothing is lost; without bounds far more passes.
func TestShaperKeepsRate(t *testing.T) {
	const rate = 40
	tolerance := 0.05
	if testing.Short() { // such as on a processor that another one plays: it may take no more
		tolerance = 0.5
	}
	bridged(t, func(f fixture, v spec.Veth) {
		v.MTU = 1500
		x := newShaped(f, v)
		defer func() { f.ok(x.room.Close()); f.ok(x.home.Close()) }()
		if free := x.tcp(true); free < 4*rate*125_000 {
			t.Errorf("without a bound %.0f bytes a second come", free)
		}
		f.ensureSome(shaperOf(v, mbit(rate), mbit(rate/2)))
		const payload, header = 1400, 42
		for _, in := range []bool{true, false} {
			want := map[bool]float64{true: rate, false: rate / 2}[in] * 125_000
			near := func(what string, got float64) {
				t.Logf("%s, in %t: %.2f mbit", what, in, got/125_000)
				if got/want-1 > 0.05 || math.Abs(got/want-1) > tolerance {
					t.Errorf("%s, in %t: %.2f mbit, want %.2f", what, in, got/125_000, want/125_000)
				}
			}
			near("TCP", x.tcp(in)*(1448+66)/1448)
			udp, _, _ := x.udp(in, payload, 0)
			near("UDP", udp*(payload+header)/payload)
			_, sent, got := x.udp(in, payload, 0.9*want*payload/(payload+header))
			if t.Logf("below the rate: %d sent, %d arrived", sent, got); sent == 0 || float64(got) < (1-tolerance)*float64(sent) || !testing.Short() && got != sent {
				t.Errorf("below the rate, in %t: %d sent, %d arrived", in, sent, got)
			}
		}
	})
}

func (f fixture) ensureSome(s spec.Shaper) {
	f.t.Helper()
	fixed, err := f.EnsureShaper(context.Background(), s)
	f.ok(err)
	if len(fixed) == 0 {
		f.t.Errorf("%s was there", s)
	}
}

// TestShaperChanges: bounds change under a load that goes on, and it passes at the new ones, in
// either direction. A packet that waits and is larger than the new burst holds up nothing.
func TestShaperChanges(t *testing.T) {
	for _, in := range []bool{true, false} {
		t.Run(fmt.Sprintf("in %t", in), func(t *testing.T) {
			bridged(t, func(f fixture, v spec.Veth) {
				v.MTU = 1500
				x := newShaped(f, v)
				defer func() { f.ok(x.room.Close()); f.ok(x.home.Close()) }()
				read, end := x.load(in)
				defer end()
				for i, rate := range []uint64{50, 10, 100, 20} {
					f.ensureSome(shaperOf(v, mbit(rate), mbit(rate)))
					got, err := speed(max(2<<20, int(rate*125_000/2)), read) // what sockets hold came at the rate before
					f.ok(err)
					got *= 8. / 1e6
					t.Logf("change %d: %.1f mbit", i, got)
					least, most := 0.8, 1.05
					if testing.Short() { // the machine is emulated, and its clock with it
						least, most = 0.4, 1.2
					}
					if want := float64(rate); got > most*want || got < least*want {
						t.Errorf("change %d: %.1f mbit of payload, want %.0f\n%s", i, got, want, f.sh("tc -s qdisc"))
					}
				}
			})
		})
	}
}
