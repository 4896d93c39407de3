package nlattr

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

func header(size, kind uint16) []byte {
	return binary.NativeEndian.AppendUint16(binary.NativeEndian.AppendUint16(nil, size), kind)
}

// FuzzAll: what is read of any message is what the library reads, as far as that takes it
// for one. The last attribute needs no padding.
func FuzzAll(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(append(header(6, 1), 'a', 'b'))
	f.Add(append(append(header(6, 1|unix.NLA_F_NESTED), 'a', 'b', 0, 0), header(4, 2)...))
	f.Add(header(3, 1))
	f.Add(header(9, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		var got []Attribute
		var failed error
		read := 0
		for a, err := range All(b) {
			if failed = err; err == nil {
				got, read = append(got, a), read+len(a.Whole)
			}
		}
		if failed == nil && len(b)-read >= unix.SizeofNlAttr {
			t.Errorf("%x: stops at %d without an error", b, read)
		}
		want, err := netlink.UnmarshalAttributes(bytes.Clone(b[:read]))
		if err != nil {
			t.Fatalf("%x: is read, but the library says %v", b[:read], err)
		}
		if len(got) != len(want) {
			t.Fatalf("%x: %d attributes, want %d", b, len(got), len(want))
		}
		for i, w := range want {
			if w.Type &^= unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER; got[i].Kind != w.Type || !bytes.Equal(got[i].Value, w.Data) {
				t.Errorf("%x: attribute %d is %+v, want %+v", b, i, got[i], w)
			}
		}
	})
}

// TestStop: who has what he looked for stops.
func TestStop(t *testing.T) {
	for a, err := range All(append(append(header(5, 7), 'x', 0, 0, 0), header(3, 1)...)) {
		if a.Kind != 7 || err != nil || len(a.Whole) != 8 {
			t.Errorf("%+v %v", a, err)
		}
		break
	}
}
