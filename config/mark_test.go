package config

import (
	"math/bits"
	"testing"
)

func TestParseMark(t *testing.T) {
	for text, want := range map[string]Mark{
		"0x0c000000": {Accept: 0x04000000, Drop: 0x08000000},
		"0xc000000":  {Accept: 0x04000000, Drop: 0x08000000},
		"0X0C000000": {Accept: 0x04000000, Drop: 0x08000000},
		"0x3":        {Accept: 1, Drop: 2},
		"0x80000001": {Accept: 1, Drop: 0x80000000},
		"0x00101000": {Accept: 0x1000, Drop: 0x100000},
		"0xc0000000": {Accept: 0x40000000, Drop: 0x80000000},
	} {
		if got, err := parseMark(text); err != nil || got != want {
			t.Errorf("%s: %+v (%v), want %+v", text, got, err, want)
		}
	}
	for text, part := range map[string]string{
		"":                      "is not a number of 32 bits that begins with 0x",
		"0x":                    "is not a number",
		"0c000000":              "begins with 0x",
		"201326592":             "begins with 0x",
		"0x0c000000/0x0c000000": "is not a number",
		"0x_c":                  "is not a number",
		"0x-3":                  "is not a number",
		"0x300000000":           "32 bits",
		"0x0":                   "has 0 bits set: want the two bits as one mask in hexadecimal, such as 0x0c000000",
		"0x04000000":            "has 1 bit set",
		"0x0e000000":            "has 3 bits set",
		"0xffffffff":            "has 32 bits set",
	} {
		_, err := parseMark(text)
		wantErr(t, err, part)
	}
}

// TestEveryMark takes each pair of bits there is.
func TestEveryMark(t *testing.T) {
	for low := range 32 {
		for high := low + 1; high < 32; high++ {
			want := Mark{Accept: 1 << low, Drop: 1 << high}
			got, err := parseMark(want.String())
			if err != nil || got != want || bits.OnesCount32(got.Mask()) != 2 {
				t.Errorf("%s is read as %+v (%v)", want, got, err)
			}
		}
	}
}
