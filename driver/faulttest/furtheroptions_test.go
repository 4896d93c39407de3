package faulttest

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
)

var watches = config.EndpointOptions{"gangway.promiscuous": []byte(`"true"`)}

// bound is the rate of c1, in each direction.
const bound = 20e6

// watchers get copies: one on the first bridge, and one on the last.
var watchers = []string{"c0", "c3"}

// TestFurtherBridgeOptions: who watches sees what the others and the host send each other, on whichever bridges they and he are, once
// each; and a rate holds on a further bridge, whoever is at the other end.
func TestFurtherBridgeOptions(t *testing.T) {
	rate := fmt.Appendf(nil, `"%.0fbit"`, bound)
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		l := newLarge(t, w, map[string]any{}, map[int]config.EndpointOptions{
			0: watches, 1: {"gangway.rate.in": rate, "gangway.rate.out": rate}, 3: watches,
		})
		defer l.end(t)
		must(t, w.DeleteEndpoint(t.Context(), network, fmt.Sprintf("%08dffffffff", 1))) // one more place on the first bridge
		l.start(t, 4)
		w.Reconcile(t.Context())
		for _, on := range []string{"0", "1"} {
			bridgeNetfilter(t, on)
			for _, from := range []string{"c0", "c1", "c2", "c3", "c4", "host"} {
				l.watched(t, "br_netfilter="+on, from)
			}
		}
		l.bounded(t)
		w.sound(t, "with packets")
	})
}

// watched has one send to each other one, to the host and to everybody.
func (l *large) watched(t *testing.T, when, from string) {
	t.Helper()
	all := []string{"c0", "c1", "c2", "c3", "c4", "host"}
	macs, sockets := map[string]net.HardwareAddr{}, l.sockets(t)
	sockets["c4"] = l.boxes["c4"].packets(t, "eth0")
	for _, name := range all {
		if macs[name] = l.boxes[name].mac; name == "host" {
			macs[name] = hardwareAddr(t, first)
		}
		if name != from { // the bridges have to know where he is
			_, err := sockets[name].Write(frame(everybody, macs[name], "here is "+name))
			must(t, err)
		}
	}
	send := func(f []byte) {
		t.Helper()
		_, err := sockets[from].Write(f)
		must(t, err)
	}
	told := map[string]int{} // what somebody else than the receiver may see of it
	for _, to := range all {
		if to != from {
			send(frame(macs[to], macs[from], "for "+to))
			told["for "+to] = 1
		}
	}
	if from != "host" { // such packets go another way than other frames
		send(datagram(macs["host"], macs[from], netip.AddrPortFrom(hostOutside, datagramPort), "for the host's service"))
		told["for the host's service"] = 1
	}
	send(frame(everybody, macs[from], "for all"))
	send(frame(everybody, macs[from], "last"))
	for _, to := range all {
		if to == from {
			continue
		}
		want := map[string]int{"for all": 1, "for " + to: 1}
		switch {
		case slices.Contains(watchers, to):
			maps.Copy(want, told)
		case to == "host":
			want["for the host's service"] = 1
		}
		got := texts(heard(t, sockets[to], "last"))
		for _, name := range all {
			delete(got, "here is "+name)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %s heard of %s: %v, want %v", when, to, from, got, want)
		}
	}
}

// bounded measures what c1, and c2 without a rate beside it, send and get.
func (l *large) bounded(t *testing.T) {
	t.Helper()
	for _, to := range []string{"c4", "c2", "c3", "outside"} {
		for _, gets := range []bool{true, false} {
			if got := l.speed(t, "c1", to, gets); got > 1.1*bound || got < 0.5*bound {
				t.Errorf("c1 and %s, c1 gets it: %t: %.1f mbit, want no more than %.0f, and not much less", to, gets, got/1e6, bound/1e6)
			}
		}
	}
	for _, gets := range []bool{true, false} {
		if got := l.speed(t, "c2", "c4", gets); got < 3*bound {
			t.Errorf("without a rate, c2 gets it: %t: %.1f mbit", gets, got/1e6)
		}
	}
}

// speed is how many bits a second pass of a connection between two, once 512 KiB have. One of them asks for it.
func (l *large) speed(t *testing.T, asks, asked string, gets bool) float64 {
	t.Helper()
	const settled, measured = 512 << 10, 1 << 20
	var listener net.Listener
	must(t, l.boxes[asked].in(func() (err error) {
		listener, err = net.Listen("tcp4", ":0")
		return err
	}))
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must(t, err)
	var near net.Conn
	must(t, l.boxes[asks].in(func() (err error) {
		near, err = net.DialTimeout("tcp4", net.JoinHostPort(l.boxes[asked].v4.Addr().String(), port), patience)
		return err
	}))
	defer near.Close()
	far, err := listener.Accept()
	must(t, err)
	defer far.Close()
	to, from := near, far
	if !gets {
		to, from = far, near
	}
	// What a socket holds has passed before, while the test waited for a processor.
	must(t, to.(*net.TCPConn).SetReadBuffer(64<<10))
	go func() { _, _ = io.Copy(from, zeros{}) }() // until the end of the connection
	must(t, to.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = io.CopyN(io.Discard, to, settled)
	must(t, err)
	begun := time.Now()
	_, err = io.CopyN(io.Discard, to, measured)
	must(t, err)
	rate := measured * 8 / time.Since(begun).Seconds()
	t.Logf("%s and %s, gets it: %t: %.1f mbit", asks, asked, gets, rate/1e6)
	return rate
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
