package main

import (
	"encoding/binary"
	"net"
	"os"
	"time"
)

// ICMP types: RFC 792 and RFC 4443.
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129
)

// ping sends one echo request with a sequence number and waits for its reply.
func ping(host string, sequence uint16, timeout time.Duration) error {
	dst, err := net.ResolveIPAddr("ip", host)
	if err != nil {
		return err
	}
	network, request, reply := "ip4:1", byte(echoRequest4), byte(echoReply4)
	if dst.IP.To4() == nil {
		network, request, reply = "ip6:58", echoRequest6, echoReply6
	}
	conn, err := net.DialIP(network, nil, dst)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // the reply is what counts
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	id := uint16(os.Getpid())
	message := make([]byte, 16)
	message[0] = request
	binary.BigEndian.PutUint16(message[4:], id)
	binary.BigEndian.PutUint16(message[6:], sequence)
	copy(message[8:], "gangway!")
	if request == echoRequest4 { // the kernel sums ICMPv6 itself
		binary.BigEndian.PutUint16(message[2:], checksum(message))
	}
	if _, err := conn.Write(message); err != nil {
		return err
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := conn.ReadFromIP(buf)
		if err != nil {
			return err
		}
		if n >= 8 && buf[0] == reply && binary.BigEndian.Uint16(buf[4:]) == id && binary.BigEndian.Uint16(buf[6:]) == sequence {
			return nil
		}
	}
}

// checksum is the internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
