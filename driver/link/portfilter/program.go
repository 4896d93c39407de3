package portfilter

import (
	"golang.org/x/net/bpf"

	"github.com/gangway-net/gangway/driver/bpfprog"
)

// Places to jump to.
const (
	next       = bpfprog.Next
	pass       = place("pass")
	drop       = place("drop")
	discard    = place("discard")
	toHost     = place("to the host")
	toOthers   = place("to others than the host")
	arpToAll   = place("ARP to all")
	arp        = place("ARP")
	ip4        = place("IPv4")
	mine4      = place("from an own IPv4 address")
	answer4    = place("answer of DHCP")
	ip6        = place("IPv6")
	mine6      = place("from an own IPv6 address")
	others6    = place("from another IPv6 address")
	unknown    = place("discovery from another IPv6 address")
	advertised = place("advertisement")
	discovery  = place("ICMPv6")
	message    = place("message of neighbour discovery")
	udp6       = place("UDP in IPv6")
	fragment6  = place("fragment of IPv6")
	// fragmentUDP is a fragment of UDP, unbelieved one of ICMPv6.
	fragmentUDP = place("fragment of UDP in IPv6")
	unbelieved  = place("fragment of ICMPv6")
	extension   = place("extension header")
	behind6     = place("behind a fragment header")
	hidden      = place("hidden by extension headers")
)

type place = bpfprog.Place

// What a program returns (linux/pkt_cls.h). A frame that passes goes on to the
// filters that others may have put behind this one.
// One that is no attempt to be somebody else is discarded without being counted as
// dropped: a kernel sends such frames by itself.
const (
	actUnspec = 0xffffffff // TC_ACT_UNSPEC, -1
	actShot   = 2          // TC_ACT_SHOT
	actStolen = 4          // TC_ACT_STOLEN
)

// program is a program about frames. One that reads past the end of a frame ends with 0,
// which lets it pass: enough or short comes first.
type program struct{ bpfprog.Program }

// discards puts the end of discarded frames here, after an instruction that does not go on.
func (p *program) discards() {
	p.Mark(discard)
	p.Return(actStolen)
}

// enough drops frames of fewer than the given number of bytes.
func (p *program) enough(length uint32) { p.short(length, drop) }

// short goes on at then if the frame has fewer than the given number of bytes.
func (p *program) short(length uint32, then place) {
	p.Add(bpf.LoadExtension{Num: bpf.ExtLen})
	p.When(bpf.JumpGreaterOrEqual, length, next, then)
}

// headerLength loads the length of the IPv4 header at an offset.
func (p *program) headerLength(offset uint32) { p.Add(bpf.LoadMemShift{Off: offset}, bpf.TXA{}) }

// units8 turns the length of an IPv6 extension header, as it is written, into
// bytes.
func (p *program) units8() {
	p.Add(bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 3})
}

// portBehind goes on at then if UDP for the port comes behind the header at an
// offset, of which the length was loaded; otherwise the frame passes. The frame
// reaches beyond the offset.
func (p *program) portBehind(offset, port uint32, then place) {
	p.Add(bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: udpPortEnd}, bpf.TAX{})
	p.Add(bpf.LoadExtension{Num: bpf.ExtLen}, bpf.ALUOpConstant{Op: bpf.ALUOpSub, Val: offset})
	p.WhenX(bpf.JumpGreaterOrEqual, next, pass)
	p.Add(bpf.LoadIndirect{Off: offset + udpPort - udpPortEnd, Size: 2})
	p.Equal(port, then, pass)
}

// allow lets what comes here pass.
func (p *program) allow() { p.Return(actUnspec) }

// ends puts the ends here, after an instruction that does not go on.
func (p *program) ends() {
	p.Mark(pass)
	p.allow()
	p.Mark(drop)
	p.Return(actShot)
}
