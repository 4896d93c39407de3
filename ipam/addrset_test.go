package ipam

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestNumberOfAddress(t *testing.T) {
	for _, s := range []string{"0.0.0.1", "10.1.2.3", "255.255.255.255", "::1", "fd00::ffff:ffff:ffff:ffff", "fdff:1:2:3:4:5:6:7"} {
		a := ip(s)
		if got := numberOf(a).addr(a.Is4()); got != a {
			t.Errorf("%s became %s", a, got)
		}
	}
	for _, c := range []struct{ at, next string }{
		{"fd00::ffff:ffff:ffff:ffff", "fd00:0:0:1::"},
		{"10.0.0.255", "10.0.1.0"},
	} {
		a := ip(c.at)
		if got := numberOf(a).next().addr(a.Is4()); got != ip(c.next) {
			t.Errorf("after %s comes %s, want %s", c.at, got, c.next)
		}
	}
}

// TestAddrSetAgainstMap compares the set with a plain map, with numbers that lie
// close enough for words to fill up over several levels.
func TestAddrSetAgainstMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, base := range []string{"10.0.0.0", "fd00::ffff:ffff:ffff:f000"} {
		const span = 9000
		var at []number
		for n, i := numberOf(ip(base)), 0; i < span+1; i++ {
			at = append(at, n)
			n = n.next()
		}
		var s addrSet
		in := map[int]bool{}
		set := func(i int, on bool) {
			if in[i] == on {
				return
			}
			if on {
				s.add(at[i])
				in[i] = true
			} else {
				s.remove(at[i])
				delete(in, i)
			}
		}
		for range 400 {
			from, to, on := r.IntN(span), r.IntN(span), r.IntN(3) > 0
			for i := from; i < to; i++ {
				set(i, on)
			}
			for range 20 {
				want := r.IntN(span)
				got := s.nextFree(at[want])
				for in[want] {
					want++
				}
				if got != at[want] {
					t.Fatalf("%s: next free is %v, want %v", base, got, at[want])
				}
			}
			words := 0
			for _, l := range s.levels {
				words += len(l)
			}
			if words > len(in) {
				t.Fatalf("%s: %d words for %d numbers", base, words, len(in))
			}
		}
	}
}

func TestAddrSetMemoryDoesNotFollowPoolSize(t *testing.T) {
	words := func(base string) int {
		a := open(t, newMemory())
		p := mustPool(t, a, base, "")
		for range 200 {
			mustAddress(t, a, p.ID, "")
		}
		n := 0
		for _, l := range a.byID[p.ID].used.levels {
			n += len(l)
		}
		return n
	}
	small := words("10.0.0.0/24")
	for _, base := range []string{"10.0.0.0/8", "fd00::/64", "fd00::/8"} {
		if n := words(base); n != small {
			t.Errorf("%s: %d words for 200 addresses, a /24 has %d", base, n, small)
		}
	}
}

func FuzzAddrSet(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0x81, 255})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var s addrSet
		in := map[number]bool{}
		for _, op := range ops {
			n := numberOf(netip.AddrFrom4([4]byte{10, 0, 0, op & 0x7f}))
			if op&0x80 == 0 && !in[n] {
				s.add(n)
				in[n] = true
			} else if op&0x80 != 0 && in[n] {
				s.remove(n)
				delete(in, n)
			}
			want := numberOf(ip("10.0.0.0"))
			got := s.nextFree(want)
			for in[want] {
				want = want.next()
			}
			if got != want {
				t.Fatalf("next free is %v, want %v", got, want)
			}
		}
	})
}
