package nftables

import (
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// clamp has TCP say as it begins what the way takes, where that is less than what the
// sender's own link does. Else large packets get lost where nobody tells the sender that they
// are too large, since ICMP is filtered: the connection opens, and hangs with the first of
// them. It changes what passes and accepts nothing. It stands where packets of gangway's bridges
// are told from others: a chain of its own would be one more for each packet.
func clamp() []expr.Any { return rule(syn(), pathMSS()) }

// syn matches what opens a connection of TCP, or answers that.
func syn() []expr.Any {
	const flags, syn, rst = 13, 2, 4
	return rule(meta(expr.MetaKeyL4PROTO, 1), is(unix.IPPROTO_TCP), []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: flags, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{syn | rst}, Xor: []byte{0}},
	}, is(syn))
}

// pathMSS sets the largest segment that the sender wants to get to what the ways there and back
// take. The kernel makes it no larger than it is.
func pathMSS() []expr.Any {
	const maxseg, value, size = 2, 2, 2 // TCPOPT_MAXSEG, and where its number is
	return []expr.Any{
		&expr.Rt{Register: 1, Key: expr.RtTCPMSS},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: size, Size: size},
		&expr.Exthdr{SourceRegister: 1, Type: maxseg, Offset: value, Len: size, Op: expr.ExthdrOpTcpopt},
	}
}
