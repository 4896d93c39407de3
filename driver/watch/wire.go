package watch

import (
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/nlattr"
)

// messages visits the netlink messages of a datagram: type and payload. It
// stops at the first one that does not fit.
func messages(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofNlMsghdr {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.SizeofNlMsghdr || size > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:size]) {
				return
			}
			b = b[min(align(size), len(b)):]
		}
	}
}

// attributes visits netlink attributes as far as they fit: type without flags, and value.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for a, err := range nlattr.All(b) {
			if err != nil || !yield(a.Kind, a.Value) {
				return
			}
		}
	}
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

// dumpLinks is the request for all links.
func dumpLinks() []byte {
	const size = unix.SizeofNlMsghdr + unix.SizeofIfInfomsg
	b := make([]byte, size)
	binary.NativeEndian.PutUint32(b, size)
	binary.NativeEndian.PutUint16(b[4:], unix.RTM_GETLINK)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	return b
}
