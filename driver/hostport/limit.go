package hostport

import (
	"fmt"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
)

// limits bound what relays may use.
type limits struct {
	// files is RLIMIT_NOFILE, and headroom what of it is left to the rest of
	// the daemon.
	files, headroom int
	// relayFiles bounds the descriptors of all relayed connections together.
	relayFiles int
	// conns and sessions bound the TCP connections and the UDP sessions of one
	// host port in one address.
	conns, sessions int
	// idle ends UDP sessions without a packet; docker-proxy's UDPConnTrackTimeout.
	idle time.Duration
	// dial bounds connecting to a container.
	dial time.Duration
}

func defaultLimits(files int) limits {
	return limits{
		files:      files,
		headroom:   256,
		relayFiles: 16384 * connFiles,
		conns:      4096,
		sessions:   1024,
		idle:       90 * time.Second,
		dial:       10 * time.Second,
	}
}

// maxFiles is the limit of open files that is asked for: 65535 ports of each
// of tcp and udp in both families, and four times that. Linux reserves no memory
// for it.
const maxFiles = 1 << 20

// raiseFileLimit raises the limit of open files to maxFiles, as a service
// manager does with LimitNOFILE=, and returns what it is then. Only a process
// with CAP_SYS_RESOURCE may go beyond the hard limit; others get up to it.
func raiseFileLimit(log *logrus.Entry) int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		log.WithError(err).Warn("the limit of open files is unknown")
		return math.MaxInt
	}
	hard := l.Max
	for _, want := range []uint64{max(hard, maxFiles), hard} {
		if l.Cur >= want {
			break
		}
		raised := unix.Rlimit{Cur: want, Max: want}
		err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised)
		if err == nil {
			l = raised
			break
		}
		if want == hard {
			log.WithError(err).Warnf("the limit of open files stays at %d", l.Cur)
		}
	}
	return int(min(l.Cur, math.MaxInt))
}

// tableSize is how many open files the kernel has room for from the start: half a
// megabyte of its memory.
const tableSize = 1 << 16

// widenFileTable makes room for open files, up to the limit. The kernel doubles the
// table whenever it is full, and as threads share it, waits each time until no
// processor uses the old one any more (expand_fdtable and its synchronize_rcu in
// fs/file.c): some ten milliseconds, several times over, of the first container that
// publishes many ports.
func widenFileTable(log *logrus.Entry, limit int) {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		defer func() { _ = unix.Close(fd) }()
		var last int
		if last, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, min(limit, tableSize)-1); err == nil {
			err = unix.Close(last)
		}
	}
	if err != nil {
		log.WithError(err).Debug("the table of open files grows as it is filled")
	}
}

// budget counts the file descriptors of reserving sockets and of relayed
// connections against the limits. Connections are only taken on as long as
// they leave what sockets need.
type budget struct {
	l limits

	mu    sync.Mutex
	held  int
	relay int
	// clients has what of relay each client has.
	clients map[netip.Addr]int
	waits   []waiter
	warned  time.Time
}

// waiter is told when descriptors have come free.
type waiter interface{ wake() }

func newBudget(l limits) *budget { return &budget{l: l, clients: map[netip.Addr]int{}} }

// check says whether n more sockets fit.
func (b *budget) check(n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > 0 && n > b.l.files-b.l.headroom-b.held-b.relay {
		return b.exhaustedLocked(n)
	}
	return nil
}

// exhausted is the error that n more sockets are too many.
func (b *budget) exhausted(n int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.exhaustedLocked(n)
}

func (b *budget) exhaustedLocked(n int) error {
	return fmt.Errorf("%d more host port sockets do not fit into the limit of %d open files: with %d held, %d in relays and %d for the daemon itself that makes %d; raise RLIMIT_NOFILE (LimitNOFILE= of the service) or publish fewer ports: %w",
		n, b.l.files, b.held, b.relay, b.l.headroom, n+b.held+b.relay+b.l.headroom, unix.EMFILE)
}

// sockets counts n sockets more; less if n is negative.
func (b *budget) sockets(n int) { b.count(n, 0) }

// Descriptors are shared out by port, as what is used elsewhere leaves room: a port
// may have as many as it leaves free for the others, so that however many a few ports
// have, there are some for the next one. Nothing is set aside for ports that are not
// asked. One client gets half of what a port may have at most, and half of all.

// mostLocked is how many connections a port may have at present, of n descriptors
// each, where it has some already and bound is the most of any port.
func (b *budget) mostLocked(n, have, bound int) int {
	free := b.freeLocked()
	if free < n {
		return min(bound, have)
	}
	return min(bound, (n*have+free-n)/2/n+1)
}

// freeLocked is how many descriptors relays may use more.
func (b *budget) freeLocked() int {
	return max(0, min(b.l.relayFiles, b.l.files-b.l.headroom-b.held)-b.relay)
}

// ofOne is how much of something one client may have. Very little is not shared.
func ofOne(most int) int {
	if most < 4 {
		return most
	}
	return most / 2
}

// clientFits says whether a client may have a connection more to a port, of which it
// has own already and the port have.
func (b *budget) clientFits(from netip.Addr, n, own, have, bound int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	everywhere := (b.relay + b.freeLocked()) / n
	return own < ofOne(b.mostLocked(n, have, bound)) && b.clients[from]/n < ofOne(everywhere)
}

// fits says whether a port may have one connection more. If not, w (unless it is
// nil) is woken when descriptors came free. Only the poller's goroutine takes
// descriptors, so what fits can then be taken.
func (b *budget) fits(n, have, bound int, w waiter) (ok, warn bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if have < b.mostLocked(n, have, bound) {
		return true, false
	}
	if w != nil {
		b.waits = append(b.waits, w)
	}
	return false, b.warnLocked()
}

// warn says whether it is time to say again that something waits or is refused.
func (b *budget) warn() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.warnLocked()
}

func (b *budget) warnLocked() bool {
	now := time.Now()
	if now.Sub(b.warned) <= time.Minute {
		return false
	}
	b.warned = now
	return true
}

func (b *budget) take(n int, from netip.Addr) {
	b.mu.Lock()
	b.clients[from] += n
	b.mu.Unlock()
	b.count(0, n)
}

// give returns n descriptors that take took.
func (b *budget) give(n int, from netip.Addr) {
	b.mu.Lock()
	if b.clients[from] -= n; b.clients[from] <= 0 {
		delete(b.clients, from)
	}
	b.mu.Unlock()
	b.count(0, -n)
}

// count wakes everybody who waits when something came free: whom to wake alone
// cannot be known, because it may not need it any more. The caller then holds
// no lock of a TCP relay.
func (b *budget) count(held, relay int) {
	b.mu.Lock()
	b.held += held
	b.relay += relay
	var waits []waiter
	if held < 0 || relay < 0 {
		waits, b.waits = b.waits, nil
	}
	b.mu.Unlock()
	for _, w := range waits {
		w.wake()
	}
}
