package main

import (
	"context"
	"net"
	"strings"

	"github.com/miekg/dns"
)

// listenNames answers questions for names, given as NAME=ADDRESS with ; between them, by UDP
// and TCP. Others it does not know.
func listenNames(list, addr string, failed chan<- error) error {
	known := map[string]string{}
	for entry := range strings.SplitSeq(list, ";") {
		name, address, _ := strings.Cut(entry, "=")
		known[name+"."] = address
	}
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		m.RecursionAvailable = true
		asked := q.Question[0]
		address, ok := known[strings.ToLower(asked.Name)]
		switch ip := net.ParseIP(address); {
		case !ok:
			m.Rcode = dns.RcodeNameError
		case asked.Qtype == dns.TypeA && ip.To4() != nil:
			m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: ip}}
		case asked.Qtype == dns.TypeAAAA && ip.To4() == nil:
			m.Answer = []dns.RR{&dns.AAAA{Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeAAAA, Class: dns.ClassINET, Ttl: 60}, AAAA: ip}}
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
