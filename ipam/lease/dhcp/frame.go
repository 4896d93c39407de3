package dhcp

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The ports of DHCP (RFC 2131, 4.1).
const (
	serverPort = 67
	clientPort = 68
)

const (
	etherHeader = 14
	ipHeader    = 20
	udpHeader   = 8
	macLen      = 6
)

// broadcastMAC is everybody's on a LAN.
func broadcastMAC() net.HardwareAddr { return net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// way says who sends to whom.
type way struct {
	fromMAC, toMAC net.HardwareAddr
	from, to       netip.Addr
}

// frame puts a message for a server into the packets that it goes by.
func (w way) frame(message []byte) []byte {
	f := make([]byte, etherHeader+ipHeader+udpHeader, etherHeader+ipHeader+udpHeader+len(message))
	copy(f, w.toMAC)
	copy(f[macLen:], w.fromMAC)
	binary.BigEndian.PutUint16(f[2*macLen:], unix.ETH_P_IP)
	ip := f[etherHeader:]
	ip[0] = 4<<4 | ipHeader/4
	binary.BigEndian.PutUint16(ip[2:], uint16(ipHeader+udpHeader+len(message)))
	ip[8], ip[9] = 64, unix.IPPROTO_UDP
	copy(ip[12:], w.from.AsSlice())
	copy(ip[16:], w.to.AsSlice())
	binary.BigEndian.PutUint16(ip[10:], ^sum(0, ip[:ipHeader]))
	udp := ip[ipHeader:]
	binary.BigEndian.PutUint16(udp, clientPort)
	binary.BigEndian.PutUint16(udp[2:], serverPort)
	length := udpHeader + len(message)
	binary.BigEndian.PutUint16(udp[4:], uint16(length))
	f = append(f, message...)
	// The pseudo header of RFC 768 has addresses, protocol and length.
	check := ^sum(uint32(unix.IPPROTO_UDP+length), f[etherHeader+12:])
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(f[etherHeader+ipHeader+6:], check)
	return f
}

// sum is the ones' complement sum of RFC 1071.
func sum(start uint32, b []byte) uint16 {
	s := start
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// answer takes the message for a client out of a frame, and the hardware address that it came
// from. Checksums are not compared: a server on the same host leaves them to its card.
func answer(f []byte) (message []byte, from net.HardwareAddr, ok bool) {
	if len(f) < etherHeader+ipHeader+udpHeader || binary.BigEndian.Uint16(f[2*macLen:]) != unix.ETH_P_IP {
		return nil, nil, false
	}
	ip := f[etherHeader:]
	header, total := int(ip[0]&0x0f)*4, int(binary.BigEndian.Uint16(ip[2:]))
	fragment := binary.BigEndian.Uint16(ip[6:])&0x3fff != 0
	if ip[0]>>4 != 4 || header < ipHeader || total > len(ip) || total < header+udpHeader || ip[9] != unix.IPPROTO_UDP || fragment {
		return nil, nil, false
	}
	udp := ip[header:total]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if binary.BigEndian.Uint16(udp[2:]) != clientPort || length < udpHeader || length > len(udp) {
		return nil, nil, false
	}
	return udp[udpHeader:length], net.HardwareAddr(f[macLen : 2*macLen]), true
}

// answers is the filter that leaves in what is for a client's port.
func answers() ([]bpf.RawInstruction, error) {
	const drop = 7 // instructions between the first and the last one
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 2 * macLen, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipFalse: drop - 1},
		bpf.LoadAbsolute{Off: etherHeader + 9, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_UDP, SkipFalse: drop - 3},
		bpf.LoadMemShift{Off: etherHeader},
		bpf.LoadIndirect{Off: etherHeader + 2, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: clientPort, SkipFalse: drop - 6},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{Val: 0},
	})
}
