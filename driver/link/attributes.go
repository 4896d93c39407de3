package link

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// attributes visits the attributes behind a message's header: type without flags,
// and value. The library's parser makes a list of them, which a look at thousands
// of links, each with attributes within attributes, would spend most of its time
// on; and it panics where the last attribute is not padded to four bytes.
func attributes(m []byte, header int, visit func(kind uint16, value []byte)) error {
	if len(m) < header {
		return fmt.Errorf("%d bytes, fewer than its header's %d", len(m), header)
	}
	for b := m[header:]; len(b) >= unix.SizeofNlAttr; {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofNlAttr || size > len(b) {
			return fmt.Errorf("an attribute of %d bytes in the last %d", size, len(b))
		}
		visit(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofNlAttr:size])
		padded := (size + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1)
		b = b[min(padded, len(b)):]
	}
	return nil
}

// attribute returns the value of one attribute behind a header, nil if it is
// not there.
func attribute(m []byte, header int, want uint16) (found []byte, err error) {
	err = attributes(m, header, func(kind uint16, value []byte) {
		if kind == want && found == nil {
			found = value
		}
	})
	return found, err
}

// nested returns the value of an attribute within others, nil if it is not there.
func nested(m []byte, header int, kinds ...uint16) (value []byte, err error) {
	value = m
	for _, kind := range kinds {
		if value, err = attribute(value, header, kind); err != nil {
			return nil, err
		}
		header = 0
	}
	return value, nil
}
