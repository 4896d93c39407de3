package fwtest

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
)

// watchTable marks what comes in as an administrator's rules may, and counts
// what goes out: it is the last to see a packet, behind everything that a
// backend has. What passes between two others' links is marked with gangway's
// bits as well, and shows that these would be counted.
const watchTable = `table inet watch {
	counter left { }
	counter kept { }
	counter others { }
	chain prerouting {
		type filter hook prerouting priority -310;
		meta mark set meta mark | %#[1]x
		iifname "v-lan" meta mark set meta mark | %#[2]x
	}
	chain postrouting {
		type filter hook postrouting priority 2147483647;
		iifname "v-lan" oifname "v-outside" meta mark & %#[2]x == %#[2]x counter name others accept
		iifname "v-lan" accept
		meta mark & %#[2]x != 0 counter name left
		meta mark & %#[1]x == %#[1]x counter name kept
	}
}
`

// userMark is a mark that has nothing to do with gangway.
const userMark = 0x1

// marks shows that the bits of the packet mark that a backend uses do not
// leave the host, that all others do, and that no mark opens or closes
// anything.
func (s *suite) marks(t *testing.T) {
	for _, set := range s.possible(
		setting{engine: "26", policy: "ACCEPT", bridged: true},
		setting{engine: "", policy: "ACCEPT", bridged: false},
	) {
		t.Run(set.String(), func(t *testing.T) {
			w := newWorld(t, s.opts, set)
			b := s.backend(t, w.host)
			b.add(t, manyModes())
			w.host.mustCommand(t, fmt.Sprintf(watchTable, userMark, s.opts.Mark.Mask()), "nft", "-f", "-")
			w.check(t, markProbes())
			for name, want := range map[string]bool{"left": false, "kept": true, "others": true} {
				if n := w.counted(t, name); n > 0 != want {
					t.Errorf("counter %s has %d packets", name, n)
				}
			}
			for _, bits := range []uint32{s.opts.Mark.Accept, s.opts.Mark.Drop, s.opts.Mark.Mask()} {
				w.host.mustCommand(t, fmt.Sprintf("flush table inet watch\nadd rule inet watch prerouting meta mark set meta mark | %#x\n", bits), "nft", "-f", "-")
				t.Run(fmt.Sprintf("marked %#x", bits), func(t *testing.T) { w.check(t, markProbes()) })
			}
		})
	}
}

// markProbes pass by every kind of verdict.
func markProbes() []probe {
	return []probe{
		{"outside", "tcp", "host", 8080, "a1:80 outside"},
		{"a1", "tcp", "outside", 80, "outside:80 host"},
		{"a1", "udp", "outside", 81, refused},
		{"a2", "tcp", "host", 8080, "a1:80 A"},
		{"a1", "tcp", "a2", 80, "a2:80 a1"},
		{"outside", "icmp", "b1", 0, "echo"},
		{"outside", "udp", "n1", 80, "n1:80 outside"},
		{"outside", "tcp", "a1", 80, dropped},
		{"b1", "tcp", "a1", 80, dropped},
		{"i1", "tcp", "outside", 80, dropped},
		{"lan", "tcp", "outside", 80, "outside:80 lan"},
	}
}

// counted is what a counter of watchTable has counted.
func (w *world) counted(t *testing.T, name string) int {
	t.Helper()
	out, err := w.host.command("", "nft", "list", "counter", "inet", "watch", name)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`packets (\d+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("counter %s: %s", name, out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
