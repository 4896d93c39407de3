package watch

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/procfile"
)

// The kernel tells nothing of changes in the tables of iptables-legacy, so they
// are looked at.
const (
	// lookEvery is the time between two looks where there are such tables.
	lookEvery = 500 * time.Millisecond
	// idleEvery is the time between two looks for the first table.
	idleEvery = 3 * time.Second
	// lookShare is how much longer than the processor's work on a look the pause
	// behind it is at least: the kernel copies a table as a whole, and some hosts
	// have ten thousands of rules. Time in which a busy host let the look wait does
	// not count.
	lookShare = 100
	// lookMost is the longest pause, whatever a look takes. Everything is compared
	// as often without it.
	lookMost = 3 * time.Second
)

// The questions of iptables-legacy (linux/netfilter_ipv4/ip_tables.h, and the
// same of IPv6).
const (
	getInfo    = 64 // IPT_SO_GET_INFO, IP6T_SO_GET_INFO
	getEntries = 65 // IPT_SO_GET_ENTRIES, IP6T_SO_GET_ENTRIES

	tableName = 32 // XT_TABLE_MAXNAMELEN
	// infoSize is that of struct ipt_getinfo, whose last field is the size of
	// all entries.
	infoSize = tableName + 4 + 5*4 + 5*4 + 4 + 4
	// entriesHeader is the size of struct ipt_get_entries without the entries,
	// which hold numbers of 64 bits.
	entriesHeader = tableName + 8
)

// tables are the legacy tables of one family.
type tables struct {
	socket int
	level  int // of the socket options
	// names is where the kernel lists the tables that there are.
	names string
	entry entry
	// seen are fingerprints, by table.
	seen map[string]uint64
}

// entry is the fixed part of struct ipt_entry or ip6t_entry, in bytes.
type entry struct {
	// next is where the distance to the next entry stands (2 bytes). Behind it
	// are a field of the kernel's own and the counters, up to size.
	next, size int
}

// legacy looks at the tables of both families, for one goroutine.
type legacy struct {
	families []*tables
	seed     maphash.Seed
	buf      []byte
}

func newLegacy() (*legacy, error) {
	l := &legacy{seed: maphash.MakeSeed()}
	for _, f := range []struct {
		family int
		tables
	}{
		{unix.AF_INET, tables{level: unix.IPPROTO_IP, names: "ip_tables_names", entry: entry{next: 90, size: 112}}},
		{unix.AF_INET6, tables{level: unix.IPPROTO_IPV6, names: "ip6_tables_names", entry: entry{next: 142, size: 168}}},
	} {
		// Any socket will do, and this one needs no CAP_NET_RAW.
		fd, err := unix.Socket(f.family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if errors.Is(err, unix.EAFNOSUPPORT) {
			continue
		}
		if err != nil {
			l.close()
			return nil, fmt.Errorf("watch iptables-legacy: %w", err)
		}
		family := f.tables
		family.socket, family.seen = fd, map[string]uint64{}
		l.families = append(l.families, &family)
	}
	return l, nil
}

func (l *legacy) close() {
	for _, t := range l.families {
		_ = unix.Close(t.socket)
	}
}

// look says whether anything but counters has changed since the last look, and
// how many tables there are.
func (l *legacy) look() (changed bool, count int) {
	for _, t := range l.families {
		now := map[string]uint64{}
		for _, name := range t.list() {
			print, err := l.fingerprint(t, name)
			if err != nil {
				// It grew meanwhile, or is gone: the next look tells.
				print = t.seen[name]
			}
			now[name] = print
			old, known := t.seen[name]
			changed = changed || !known || old != print
		}
		changed = changed || len(now) != len(t.seen)
		t.seen = now
		count += len(now)
	}
	return changed, count
}

// list returns the tables that there are. To ask for another one would make it.
func (t *tables) list() []string {
	data, err := procfile.Read("/proc/thread-self/net/" + t.names)
	if err != nil {
		return nil // nobody has ever used iptables-legacy
	}
	return strings.Fields(string(data))
}

// fingerprint reads a table.
func (l *legacy) fingerprint(t *tables, name string) (uint64, error) {
	var info [infoSize]byte
	copy(info[:tableName-1], name)
	if err := getsockopt(t.socket, t.level, getInfo, info[:]); err != nil {
		return 0, err
	}
	size := binary.NativeEndian.Uint32(info[infoSize-4:])
	if need := entriesHeader + int(size); cap(l.buf) < need {
		l.buf = make([]byte, need)
	}
	b := l.buf[:entriesHeader+int(size)]
	clear(b) // the kernel leaves gaps, as behind the names of matches
	copy(b[:tableName-1], name)
	binary.NativeEndian.PutUint32(b[tableName:], size)
	if err := getsockopt(t.socket, t.level, getEntries, b); err != nil {
		return 0, err
	}
	return hash(l.seed, b[entriesHeader:], t.entry), nil
}

// hash hashes entries without what changes with every packet. What does not
// look like entries is hashed as it is.
func hash(seed maphash.Seed, entries []byte, e entry) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for len(entries) >= e.size {
		next := int(binary.NativeEndian.Uint16(entries[e.next:]))
		if next < e.size || next > len(entries) {
			break
		}
		_, _ = h.Write(entries[:e.next+2])
		_, _ = h.Write(entries[e.size:next])
		entries = entries[next:]
	}
	_, _ = h.Write(entries)
	return h.Sum64()
}

// getsockopt is getsockopt(2) with a buffer that is read and written.
func getsockopt(fd, level, option int, b []byte) error {
	size := uint32(len(b))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), uintptr(level), uintptr(option),
		uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// measured looks, and says how long a processor worked on it.
func (l *legacy) measured() (changed bool, count int, work time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := worked()
	changed, count = l.look()
	return changed, count, worked() - began
}

// worked is the processor time of the calling thread.
func worked() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// pause is the time between a look, which took so much work and saw so many tables,
// and the next one.
func pause(count int, work time.Duration) time.Duration {
	if count == 0 {
		return idleEvery
	}
	return min(max(lookEvery, lookShare*work), lookMost)
}

// watchLegacy looks at the tables until the watcher is closed.
func (w *Watcher) watchLegacy(ctx context.Context, l *legacy) {
	l.look() // what there is at the start is for the first comparison
	w.working.Go(func() {
		defer l.close()
		timer := time.NewTimer(lookEvery)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
			}
			changed, count, work := l.measured()
			if changed {
				w.Changed()
			}
			timer.Reset(pause(count, work))
		}
	})
}
