package ipam

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// number is an address as an unsigned integer of 128 bits. An IPv4 address has
// its value in the low 32 bits: a set holds addresses of one family only.
type number struct{ hi, lo uint64 }

func numberOf(a netip.Addr) number {
	b := a.As16()
	n := number{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
	if a.Is4() {
		return number{0, n.lo & 0xffffffff}
	}
	return n
}

// addr is the reverse of numberOf.
func (n number) addr(is4 bool) netip.Addr {
	if is4 {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(n.lo))))
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], n.hi)
	binary.BigEndian.PutUint64(b[8:], n.lo)
	return netip.AddrFrom16(b)
}

// up is the index of the word that holds bit n, n/64.
func (n number) up() number { return number{n.hi >> 6, n.hi<<58 | n.lo>>6} }

// down is the number of the first bit of word n, n*64.
func (n number) down() number { return number{n.hi<<6 | n.lo>>58, n.lo << 6} }

func (n number) next() number {
	lo, carry := bits.Add64(n.lo, 1, 0)
	return number{n.hi + carry, lo}
}

// less is by how much n is larger than m, as far as a floating-point number tells.
func (n number) less(m number) float64 {
	lo, borrow := bits.Sub64(n.lo, m.lo, 0)
	hi, _ := bits.Sub64(n.hi, m.hi, borrow)
	return float64(hi)*(1<<64) + float64(lo)
}

// bit is the position of bit n in its word.
func (n number) bit() uint { return uint(n.lo & 63) }

const full = ^uint64(0)

// addrSet is a sparse set of numbers that finds the next number outside it in
// constant time. Level 0 has one bit a number, in words of 64; a bit of level
// k+1 says that the word of level k is full. Words of zero are not stored, so
// there are never more words than numbers in the set. A search climbs only as
// far as words are full: at most 22 levels, at 60 000 addresses in a row 3.
type addrSet struct {
	levels []map[number]uint64
}

func (s *addrSet) word(level int, index number) uint64 {
	if level >= len(s.levels) {
		return 0
	}
	return s.levels[level][index]
}

func (s *addrSet) add(n number) {
	for level := 0; ; level++ {
		if level == len(s.levels) {
			s.levels = append(s.levels, map[number]uint64{})
		}
		w := s.levels[level][n.up()] | 1<<n.bit()
		s.levels[level][n.up()] = w
		if w != full {
			return
		}
		n = n.up()
	}
}

func (s *addrSet) remove(n number) {
	for level := 0; level < len(s.levels); level++ {
		before := s.levels[level][n.up()]
		if w := before &^ (1 << n.bit()); w == 0 {
			delete(s.levels[level], n.up())
		} else {
			s.levels[level][n.up()] = w
		}
		if before != full {
			return
		}
		n = n.up()
	}
}

// nextFree returns the smallest number from n on that is not in the set. The
// result is meaningless if everything up to the largest number is in the set;
// pools never reach there (it is a multicast address).
func (s *addrSet) nextFree(n number) number {
	level := 0
	for {
		if free := ^s.word(level, n.up()) & (full << n.bit()); free != 0 {
			n = n.withBit(bits.TrailingZeros64(free))
			break
		}
		n = n.up().next()
		level++
	}
	for ; level > 0; level-- {
		free := ^s.word(level-1, n)
		n = n.down().withBit(bits.TrailingZeros64(free))
	}
	return n
}

// withBit is n at another position of the same word.
func (n number) withBit(bit int) number { return number{n.hi, n.lo&^63 | uint64(bit)} }
