package watch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// legacyWorld has gangway's FORWARD hook in both families, and rules of others with
// matches that keep a state of their own.
const legacyWorld = `
for c in iptables-legacy ip6tables-legacy; do
$c -N GANGWAY-FORWARD; $c -A GANGWAY-FORWARD -m devgroup --dst-group 18263 -j ACCEPT
$c -A FORWARD -j GANGWAY-FORWARD
$c -A OUTPUT -m limit --limit 5/s -j ACCEPT; $c -A OUTPUT -m statistic --mode nth --every 2 --packet 0 -j ACCEPT
$c -A OUTPUT -m comment --comment lo -o lo -j ACCEPT
$c -t nat -A POSTROUTING -o nowhere -j MASQUERADE
done
`

// The pause behind a look grows with the processor's work, never beyond some
// seconds: until the next look nobody hears of a flush.
func TestPause(t *testing.T) {
	for _, tt := range []struct {
		count int
		work  time.Duration
		want  time.Duration
	}{
		{0, time.Second, idleEvery},
		{1, 0, lookEvery},
		{1, 10 * time.Millisecond, time.Second},
		{4, 300 * time.Millisecond, lookMost},
	} {
		if got := pause(tt.count, tt.work); got != tt.want {
			t.Errorf("%d tables, %s of work: a pause of %s, want %s", tt.count, tt.work, got, tt.want)
		}
	}
	// Waiting is no work.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := worked()
	time.Sleep(100 * time.Millisecond)
	if work := worked() - before; work > 50*time.Millisecond {
		t.Errorf("100 ms of sleep count as %s of work", work)
	}
}

const legacyEnd = `
for c in iptables-legacy ip6tables-legacy; do for t in filter nat mangle; do $c -t $t -F; $c -t $t -X; done; done
`

// TestLegacy: what somebody does to iptables-legacy is told within a second, and
// the packets that its rules count are not.
func TestLegacy(t *testing.T) {
	sh(t, legacyWorld)
	defer sh(t, legacyEnd)
	w := start(t)
	for _, script := range []string{
		"iptables-legacy -D GANGWAY-FORWARD 1",
		"iptables-legacy -I FORWARD -j DROP",
		"iptables-legacy -R FORWARD 1 -j ACCEPT", // of the same size
		"iptables-legacy -P FORWARD DROP",
		"iptables-legacy -P FORWARD ACCEPT",
		"iptables-legacy -t nat -F",
		"iptables-legacy -F",
		"ip6tables-legacy -I FORWARD -j DROP",
		"ip6tables-legacy -R FORWARD 1 -j ACCEPT",
		"ip6tables-legacy -F",
		"iptables-legacy -t mangle -A FORWARD -j ACCEPT", // a table that was not there
	} {
		began := time.Now()
		told(t, w, script)
		t.Logf("%s: %s", script, time.Since(began).Round(time.Millisecond))
	}
}

// TestLegacyPackets: what rules count and remember is no change.
func TestLegacyPackets(t *testing.T) {
	sh(t, legacyWorld)
	defer sh(t, legacyEnd)
	l, err := newLegacy()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if changed, n := l.look(); !changed || n < 4 {
		t.Errorf("first look: changed %t, %d tables", changed, n)
	}
	sh(t, "ping -c3 -i0.01 -q 127.0.0.1; ping -c3 -i0.01 -q ::1")
	if changed, _ := l.look(); changed {
		t.Error("packets count as changes")
	}
	sh(t, "iptables-legacy -S OUTPUT -v | grep -q 'limit.*-c [1-9]'")
}

// TestLegacyIdle: a look makes no tables where there are none.
func TestLegacyIdle(t *testing.T) {
	l, err := newLegacy()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for _, f := range l.families {
		before, _ := os.ReadFile("/proc/self/net/" + f.names)
		l.look()
		after, _ := os.ReadFile("/proc/self/net/" + f.names)
		if string(before) != string(after) {
			t.Errorf("tables %q, then %q", before, after)
		}
	}
}

// BenchmarkLegacy is one look at tables with so many rules.
func BenchmarkLegacy(b *testing.B) {
	for _, rules := range []int{0, 300, 10_000} {
		b.Run(fmt.Sprint(rules), func(b *testing.B) {
			var script strings.Builder
			script.WriteString("*filter\n")
			for i := range rules {
				fmt.Fprintf(&script, "-A FORWARD -d 10.%d.%d.1 -p tcp -m tcp --dport 80 -m comment --comment rule -j ACCEPT\n", i/256, i%256)
			}
			script.WriteString("COMMIT\n")
			restore(b, script.String())
			defer restore(b, "*filter\nCOMMIT\n")
			l, err := newLegacy()
			if err != nil {
				b.Fatal(err)
			}
			defer l.close()
			for b.Loop() {
				if _, n := l.look(); n == 0 {
					b.Fatal("no table")
				}
			}
		})
	}
	b.Run("no table", func(b *testing.B) {
		l := &legacy{families: []*tables{{names: "none"}, {names: "none"}}}
		for b.Loop() {
			l.look()
		}
	})
}

// restore replaces the filter table.
func restore(b *testing.B, script string) {
	b.Helper()
	cmd := exec.Command("iptables-legacy-restore")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
}

// The two kinds of entries.
var four, six = entry{90, 112}, entry{142, 168}

// entries is a table of two entries, as the kernel gives it.
func entries(e entry, counter byte) []byte {
	b := make([]byte, 2*e.size+16)
	binary.NativeEndian.PutUint16(b[e.next:], uint16(e.size+16))
	binary.NativeEndian.PutUint16(b[e.size+16+e.next:], uint16(e.size))
	for _, start := range []int{0, e.size + 16} {
		for i := e.next + 2; i < e.size; i++ {
			b[start+i] = counter
		}
	}
	return b
}

// TestHash: each byte counts, but for those of the counters.
func TestHash(t *testing.T) {
	seed := maphash.MakeSeed()
	for _, e := range []entry{four, six} {
		b := entries(e, 0)
		want := hash(seed, b, e)
		if hash(seed, entries(e, 7), e) != want {
			t.Error("counters count")
		}
		quiet := 0
		for i := range b {
			b[i]++
			if hash(seed, b, e) == want {
				quiet++
			}
			b[i]--
		}
		if want := 2 * (e.size - e.next - 2); quiet != want {
			t.Errorf("%d bytes do not count, want %d", quiet, want)
		}
	}
}

// FuzzHash: whatever the bytes, it ends.
func FuzzHash(f *testing.F) {
	f.Add(entries(four, 1), false)
	f.Add(entries(six, 1), true)
	f.Add([]byte{}, true)
	f.Fuzz(func(t *testing.T, b []byte, isSix bool) {
		e, seed := four, maphash.MakeSeed()
		if isSix {
			e = six
		}
		if again := hash(seed, bytes.Clone(b), e); again != hash(seed, b, e) {
			t.Error("not the same twice")
		}
	})
}
