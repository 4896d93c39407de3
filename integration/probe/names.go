package main

import (
	"context"
	"net"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// named is what a name has: an address, and for how many seconds.
type named struct {
	ip  net.IP
	ttl uint32
}

// listenNames answers questions for names, given as NAME=ADDRESS[@SECONDS] with ; between them,
// by UDP and TCP. Others it does not know.
func listenNames(list, addr string, failed chan<- error) error {
	known := map[string]named{}
	for entry := range strings.SplitSeq(list, ";") {
		name, value, _ := strings.Cut(entry, "=")
		address, seconds, given := strings.Cut(value, "@")
		ttl := uint64(60)
		if given {
			var err error
			if ttl, err = strconv.ParseUint(seconds, 10, 32); err != nil {
				return err
			}
		}
		known[name+"."] = named{net.ParseIP(address), uint32(ttl)}
	}
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		asked := q.Question[0]
		of, ok := known[strings.ToLower(asked.Name)]
		header := dns.RR_Header{Name: asked.Name, Rrtype: asked.Qtype, Class: dns.ClassINET, Ttl: of.ttl}
		switch {
		case !ok:
			m.Rcode = dns.RcodeNameError
		case asked.Qtype == dns.TypeA && of.ip.To4() != nil:
			m.Answer = []dns.RR{&dns.A{Hdr: header, A: of.ip}}
		case asked.Qtype == dns.TypeAAAA && of.ip.To4() == nil:
			m.Answer = []dns.RR{&dns.AAAA{Hdr: header, AAAA: of.ip}}
		}
		_ = w.WriteMsg(m)
	})
	var config net.ListenConfig
	packets, err := config.ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		return err
	}
	connections, err := config.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	for _, s := range []*dns.Server{{PacketConn: packets, Handler: answer}, {Listener: connections, Handler: answer}} {
		go func() { report(failed, s.ActivateAndServe()) }()
	}
	return nil
}
