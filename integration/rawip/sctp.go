package rawip

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// SCTP is spoken as far as the first exchange of an association (RFC 9260: INIT,
// INIT ACK). That shows what NAT and filters do, and works on kernels without
// SCTP. What the server has to say travels in the state cookie of its INIT ACK.
const (
	chunkInit    = 1
	chunkInitAck = 2
	paramCookie  = 7
	sctpHeader   = 12
	initLength   = 20 // chunk header and fixed part
	shortest     = sctpHeader + initLength
)

// NetworkSCTP names the raw sockets for ServeSCTP and AskSCTP.
func NetworkSCTP(a netip.Addr) string { return network(a, unix.IPPROTO_SCTP, unix.IPPROTO_SCTP) }

// ServeSCTP answers every INIT to the port with a line for the client. It returns
// net.ErrClosed once the socket is closed. Packets that are no INIT to the port,
// and clients that cannot be answered, are passed over.
func ServeSCTP(c *net.IPConn, port uint16, line func(client netip.AddrPort) string) error {
	buf := make([]byte, longest)
	for {
		n, from, err := c.ReadFromIP(buf)
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil || n < shortest || buf[sctpHeader] != chunkInit || binary.BigEndian.Uint16(buf[2:]) != port {
			continue
		}
		addr, _ := netip.AddrFromSlice(from.IP)
		client := netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(buf[0:]))
		tag := binary.BigEndian.Uint32(buf[sctpHeader+4:])
		_, _ = c.WriteToIP(packet(port, client.Port(), tag, chunkInitAck, line(client)), from)
	}
}

// AskSCTP sends an INIT from the port own to the port to of the socket's other end,
// and returns the line of the answer. The socket's deadline ends the waiting.
func AskSCTP(c *net.IPConn, own, to uint16) (string, error) {
	if _, err := c.Write(packet(own, to, 0, chunkInit, "")); err != nil {
		return "", err
	}
	buf := make([]byte, longest)
	for {
		n, _, err := c.ReadFromIP(buf)
		if err != nil {
			return "", err
		}
		if n >= shortest && buf[sctpHeader] == chunkInitAck && binary.BigEndian.Uint16(buf[2:]) == own {
			return cookie(buf[shortest:n])
		}
	}
}

// packet builds one packet with an INIT or INIT ACK chunk.
func packet(src, dst uint16, tag uint32, kind byte, cookie string) []byte {
	b := make([]byte, shortest, 512)
	binary.BigEndian.PutUint16(b[0:], src)
	binary.BigEndian.PutUint16(b[2:], dst)
	binary.BigEndian.PutUint32(b[4:], tag)
	chunk := b[sctpHeader:]
	chunk[0] = kind
	binary.BigEndian.PutUint32(chunk[4:], 0x67770001)  // initiate tag
	binary.BigEndian.PutUint32(chunk[8:], 65536)       // receiver window
	binary.BigEndian.PutUint32(chunk[12:], 0x00010001) // one stream each way
	binary.BigEndian.PutUint32(chunk[16:], 1)          // first TSN
	if cookie != "" {
		b = binary.BigEndian.AppendUint16(b, paramCookie)
		b = binary.BigEndian.AppendUint16(b, uint16(4+len(cookie)))
		b = append(b, cookie...)
	}
	binary.BigEndian.PutUint16(b[sctpHeader+2:], uint16(len(b)-sctpHeader))
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// cookie returns what is in the state cookie, the first parameter of an INIT
// ACK.
func cookie(param []byte) (string, error) {
	if len(param) >= 4 && binary.BigEndian.Uint16(param) == paramCookie {
		if length := int(binary.BigEndian.Uint16(param[2:])); 4 <= length && length <= len(param) {
			return string(param[4:length]), nil
		}
	}
	return "", errors.New("INIT ACK without a state cookie")
}
