package faulttest

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestHostBesideTheBridge: what a container sends to the addresses of whatever bridge is next does not reach the host by the container's own
// port, past all rules about the bridge; and who has no port filter cannot take over what others on a further bridge send the host.
func TestHostBesideTheBridge(t *testing.T) {
	besideTheBridge(t, map[string]any{}, (*large).claimed)
}

// TestHostBesideFreePorts: nor where containers may send in any name.
func TestHostBesideFreePorts(t *testing.T) {
	free := map[string]any{"com.docker.network.generic": map[string]any{"gangway.anti_spoofing": "false"}}
	besideTheBridge(t, free, func(*large, *testing.T) {})
}

func besideTheBridge(t *testing.T, options map[string]any, then func(*large, *testing.T)) {
	eachBackend(t, func(t *testing.T, backend, dir string) {
		w := mustOpen(t, backend, dir)
		defer func() { w.close() }()
		l := newLarge(t, w, options, nil)
		defer l.end(t)
		for _, on := range []string{"0", "1"} {
			bridgeNetfilter(t, on)
			l.nextBridge(t, "br_netfilter="+on)
		}
		then(l, t)
		w.sound(t, "with packets")
	})
}

// nextBridge has containers send datagrams to the host in frames for the next bridge. Their source is none of the network's:
// the source check drops those.
func (l *large) nextBridge(t *testing.T, when string) {
	t.Helper()
	var c net.PacketConn
	must(t, l.boxes["host"].in(func() (err error) {
		c, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", datagramPort))
		return err
	}))
	defer c.Close()
	must(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	for _, from := range containers {
		b, socket := l.boxes[from], l.boxes[from].packets(t, "eth0")
		send := func(to net.HardwareAddr, text string) {
			t.Helper()
			_, err := socket.Write(datagram(to, b.mac, netip.AddrPortFrom(hostOutside, datagramPort), text))
			must(t, err)
		}
		for last := range byte(16) {
			send(net.HardwareAddr{1, 0x80, 0xc2, 0, 0, last}, fmt.Sprintf("%s to 01:80:c2:00:00:%02x", from, last))
		}
		send(hardwareAddr(t, first), "last")
		for buf, text := make([]byte, 2048), ""; text != "last"; {
			n, _, err := c.ReadFrom(buf)
			must(t, err)
			if text = string(buf[:n]); text != "last" {
				t.Errorf("%s: the host heard %s", when, text)
			}
		}
	}
}

// datagram is a frame with one of UDP from far away.
func datagram(to, from net.HardwareAddr, who netip.AddrPort, text string) []byte {
	header := make([]byte, 20)
	header[0], header[8], header[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(header[2:], uint16(len(header)+8+len(text))) //nolint:gosec // short
	copy(header[12:], []byte{203, 0, 113, 9})
	copy(header[16:], who.Addr().AsSlice())
	sum := uint32(0)
	for i := 0; i < len(header); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(header[i:]))
	}
	binary.BigEndian.PutUint16(header[10:], ^uint16(sum+sum>>16)) //nolint:gosec // what is above is added
	udp := binary.BigEndian.AppendUint16([]byte{0x1b, 0x58}, who.Port())
	udp = append(binary.BigEndian.AppendUint16(udp, uint16(8+len(text))), 0, 0) //nolint:gosec // short
	return slices.Concat(to, from, []byte{8, 0}, header, udp, []byte(text))
}

// claimed has a port of somebody else's on a further bridge send in the name of the host.
func (l *large) claimed(t *testing.T) {
	t.Helper()
	sh(t, "ip link add tap0 type veth peer name tap1; ip link set tap0 up master "+further)
	defer sh(t, "ip link del tap0")
	b := newBox(t, "tap", "tap1", netip.MustParsePrefix("10.0.0.99/16"), netip.MustParsePrefix("fd00:0:0:1::99/64"))
	if got := b.ask(l.boxes["c2"].v4.Addr(), 80, patience); got != "c2 10.0.0.99" { // the port passes frames from here on
		t.Fatalf("the other port asks c2: %q", got)
	}
	host := func(from, when string) {
		t.Helper()
		if got := l.boxes[from].ask(largeNetwork.IPv4[0].Gateway.Addr(), 7000, 2*time.Second); got != "host "+l.boxes[from].v4.Addr().String() {
			t.Errorf("%s asks the host %s: %q", from, when, got)
		}
	}
	host("c1", "at first") // who has to ask for its hardware address first has the bridge learn it again
	host("c2", "at first")
	socket, claim := b.packets(t, "eth0"), frame(everybody, hardwareAddr(t, first), "in the host's name")
	done, ended := make(chan struct{}), make(chan struct{})
	go func() { // on and on: what the host sends would correct a single one
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				_, _ = socket.Write(claim)
			}
		}
	}()
	defer func() {
		close(done)
		<-ended
	}()
	heard(t, l.boxes["c2"].packets(t, "eth0"), "in the host's name")
	host("c1", "while another claims to be it")
	host("c2", "while another claims to be it")
}
