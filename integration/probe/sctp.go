package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// SCTP is spoken here only as far as the first exchange of an association
// (RFC 9260: INIT, INIT ACK), over raw sockets: enough for NAT and filters to
// show what they do, and possible on kernels without SCTP. The identity line
// travels in the INIT ACK's state cookie.
const (
	chunkInit, chunkInitAck = 1, 2
	paramCookie             = 7
	sctpHeader              = 12
	initLength              = 20 // chunk header and fixed part
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// packet builds one SCTP packet with an INIT or INIT ACK chunk.
func packet(src, dst uint16, tag uint32, kind byte, cookie string) []byte {
	b := make([]byte, sctpHeader+initLength, 512)
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
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, castagnoli))
	return b
}

// listenSCTP answers every INIT to the port with an INIT ACK.
func listenSCTP(addr string, failed chan<- error) error {
	host, port, err := splitSCTP(addr)
	if err != nil {
		return err
	}
	conn, err := net.ListenIP(rawNetwork(host), host)
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 2048)
		for {
			n, client, err := conn.ReadFromIP(buf)
			if errors.Is(err, net.ErrClosed) {
				report(failed, err)
				return
			}
			if err != nil || n < sctpHeader+initLength || buf[sctpHeader] != chunkInit ||
				binary.BigEndian.Uint16(buf[2:]) != port {
				continue
			}
			from := binary.BigEndian.Uint16(buf[0:])
			line := identity(&net.UDPAddr{IP: client.IP, Port: int(from)}, &net.UDPAddr{IP: host.IP, Port: int(port)})
			tag := binary.BigEndian.Uint32(buf[sctpHeader+4:])
			if _, err := conn.WriteToIP(packet(port, from, tag, chunkInitAck, line), client); err != nil {
				fmt.Fprintln(os.Stderr, "probe: answer", client, err)
			}
		}
	}()
	return nil
}

// getSCTP sends an INIT and returns the cookie of the INIT ACK.
func getSCTP(addr string, deadline time.Time) (string, error) {
	host, port, err := splitSCTP(addr)
	if err != nil {
		return "", err
	}
	conn, err := net.DialIP(rawNetwork(host), nil, host)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // the answer is what counts
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	own := uint16(32768 + os.Getpid()%28000)
	if _, err := conn.Write(packet(own, port, 0, chunkInit, "")); err != nil {
		return "", err
	}
	buf := make([]byte, 2048)
	for {
		n, _, err := conn.ReadFromIP(buf)
		if err != nil {
			return "", err
		}
		if n > sctpHeader+initLength+4 && buf[sctpHeader] == chunkInitAck && binary.BigEndian.Uint16(buf[2:]) == own {
			return cookie(buf[sctpHeader+initLength : n])
		}
	}
}

func cookie(param []byte) (string, error) {
	length := int(binary.BigEndian.Uint16(param[2:]))
	if binary.BigEndian.Uint16(param) != paramCookie || length < 4 || length > len(param) {
		return "", errors.New("INIT ACK without a state cookie")
	}
	return strings.TrimSpace(string(param[4:length])), nil
}

// rawNetwork names the raw SCTP sockets of the address's family, by number: a
// container has no list of protocol names.
func rawNetwork(host *net.IPAddr) string {
	if host.IP.To4() == nil {
		return "ip6:132"
	}
	return "ip4:132"
}

func splitSCTP(addr string) (*net.IPAddr, uint16, error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, 0, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return nil, 0, fmt.Errorf("port of %s: %w", addr, err)
	}
	ip, err := net.ResolveIPAddr("ip", host)
	return ip, uint16(port), err
}
