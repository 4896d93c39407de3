package config

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Mark is the two bits of the packet mark that Gangway's rules use between them.
// Others on the host use marks as well, so that a user may have to choose.
type Mark struct {
	// Accept and Drop are one bit each, and not the same.
	Accept, Drop uint32
}

// Mask covers both bits.
func (m Mark) Mask() uint32 { return m.Accept | m.Drop }

// String is the mask as parseMark reads it: 0x0c000000.
func (m Mark) String() string { return fmt.Sprintf("0x%08x", m.Mask()) }

// parseMark reads a mask of two bits, which need not be neighbours; the lower one
// becomes Accept. It is written in hexadecimal, as in every listing of rules:
// without 0x, a mask such as 30000000 would be a decimal number to some readers.
func parseMark(v string) (Mark, error) {
	const want = "want the two bits as one mask in hexadecimal, such as 0x0c000000"
	digits, hex := strings.CutPrefix(strings.ToLower(v), "0x")
	mask, err := strconv.ParseUint(digits, 16, 32)
	if !hex || err != nil {
		return Mark{}, fmt.Errorf("mark %q is not a number of 32 bits that begins with 0x: %s", v, want)
	}
	if n := bits.OnesCount64(mask); n != 2 {
		return Mark{}, fmt.Errorf("mark %q has %s set: %s", v, plural(n, "bit"), want)
	}
	accept := uint32(mask) & -uint32(mask)
	return Mark{Accept: accept, Drop: uint32(mask) &^ accept}, nil
}

func plural(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}
