package reader

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
)

// Host is what of the host's network is asked. Its methods are safe for concurrent use.
type Host interface {
	// Came says by which link the client of an accepted connection came.
	Came(fd int, ipv6 bool) (link int, err error)
	// Asked is where the client has sent what came to a local address by redirection.
	Asked(proto uint8, client, local netip.AddrPort) (netip.AddrPort, error)
	// Way refuses what rules would not let pass on, and what the host itself sends another
	// way. source is the address that it leaves by; invalid for that of the link.
	Way(ctx context.Context, p Passage) (source netip.Addr, err error)
}

// Passage is from a client that came by a link, which is a network's bridge, to an address.
type Passage struct {
	Link       int
	Bridge     string
	Client, To netip.Addr
}

// Client is whose policy counts for a connection.
type Client struct {
	Bridge string
	Texts  config.Policy
	Policy policy.Policy
}

// Refusal is a connection that is not passed on.
type Refusal struct {
	Bridge   string
	From, To netip.AddrPort
	Reason   firewall.Reason
	// Name is the one that it says, or else why it says none.
	Name string
}

// Options are what New needs.
type Options struct {
	Host Host
	// Whose finds the policy for what came by a link from an address.
	Whose func(link int, from netip.Addr) (Client, bool)
	// Knows says that somebody has learned of an address by that name.
	Knows func(who policy.Who, to netip.Addr, name string) bool
	// Refuse is told of what is not passed on.
	Refuse func(Refusal)
	Log    *logrus.Entry
}

// Reader passes connections on. Its methods are safe for concurrent use.
type Reader struct {
	o Options
	l limits
	// ctx ends with all flows; running has these, and what looks for idle ones.
	ctx     context.Context
	end     context.CancelFunc
	running sync.WaitGroup

	listening
	places
}

// listening is where it listens.
type listening struct {
	mu      sync.Mutex
	sockets *sockets
}

// places are those that flows have, and how many each client has.
type places struct {
	mu    sync.Mutex
	flows map[*flow]bool
	used  map[netip.Addr]int
}

// limits bound what connections may take.
type limits struct {
	// hello is how long a client may take to say a name, and a request to be complete; dial
	// how long a server may take.
	hello, dial time.Duration
	// idle ends connections on which nothing was sent either way; look is how often these are
	// looked for.
	idle, look time.Duration
	// ofClient connections of one address of a container are passed on at a time, and ofAll
	// together.
	ofClient, ofAll int
}

// filesOfOne is how many descriptors a connection takes: two sockets, and a pipe for splice(2)
// each way.
const filesOfOne = 6

func defaultLimits() limits {
	return limits{hello: 10 * time.Second, dial: 10 * time.Second, idle: time.Hour, look: time.Minute, ofClient: 256, ofAll: 4096}
}

// New makes a reader that listens nowhere until somebody has a policy with strict names.
func New(o Options) *Reader { return newReader(o, defaultLimits()) }

func newReader(o Options, l limits) *Reader {
	r := &Reader{o: o, l: l, places: places{flows: map[*flow]bool{}, used: map[netip.Addr]int{}}}
	r.ctx, r.end = context.WithCancel(context.Background())
	r.running.Go(r.endIdle)
	return r
}

// Serve has it listen as long as it is wanted, and returns the port; 0 where it does not. What
// policies do not allow any more ends; the rest goes on.
func (r *Reader) Serve(wanted bool) (port uint16, err error) {
	port, err = r.listen(wanted)
	r.sweep(func(f *flow) bool { return f.passedOn() && !r.allows(f) })
	return port, err
}

func (r *Reader) listen(wanted bool) (uint16, error) {
	r.listening.mu.Lock()
	defer r.listening.mu.Unlock()
	switch {
	case !wanted && r.sockets != nil:
		r.sockets.close()
		r.sockets = nil
		fallthrough
	case !wanted:
		return 0, nil
	}
	if r.sockets == nil {
		r.leaveRoom()
		s, err := listen(r)
		if err != nil {
			return 0, err
		}
		r.sockets = s
	}
	return r.sockets.port, nil
}

// Port is where it listens; 0 for nowhere.
func (r *Reader) Port() uint16 {
	r.listening.mu.Lock()
	defer r.listening.mu.Unlock()
	if r.sockets == nil {
		return 0
	}
	return r.sockets.port
}

// leaveRoom leaves three quarters of the open files that the daemon may have to all else.
func (r *Reader) leaveRoom() {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		return
	}
	r.places.mu.Lock()
	defer r.places.mu.Unlock()
	r.l.ofAll = int(min(uint64(r.l.ofAll), files.Cur/4/filesOfOne)) //nolint:gosec // some thousand
}

// Close ends what listens, and all connections.
func (r *Reader) Close() {
	_, _ = r.listen(false)
	r.end()
	r.sweep(func(*flow) bool { return true })
	r.running.Wait()
}

// sweep resets the flows that are to end.
func (r *Reader) sweep(ends func(*flow) bool) {
	r.places.mu.Lock()
	all := make([]*flow, 0, len(r.flows))
	for f := range r.flows {
		all = append(all, f)
	}
	r.places.mu.Unlock()
	for _, f := range all {
		if ends(f) {
			f.reset()
		}
	}
}

// enter gives a flow a place, unless its client has its share: nobody has more than are left.
func (r *Reader) enter(f *flow) bool {
	r.places.mu.Lock()
	defer r.places.mu.Unlock()
	from := f.from.Addr()
	if r.used[from] >= min(r.l.ofClient, r.l.ofAll-len(r.flows)) || r.ctx.Err() != nil {
		return false
	}
	r.used[from]++
	r.flows[f] = true
	return true
}

// leave gives the place back.
func (r *Reader) leave(f *flow) {
	r.places.mu.Lock()
	defer r.places.mu.Unlock()
	delete(r.flows, f)
	if r.used[f.from.Addr()]--; r.used[f.from.Addr()] == 0 {
		delete(r.used, f.from.Addr())
	}
}

// allows says whether a flow may go on, by the names that it has said until now.
func (r *Reader) allows(f *flow) bool {
	c, known := r.o.Whose(f.link, f.from.Addr())
	return known && (c.Policy.Audit || c.Policy.Decide(f.packet(), false))
}

// endIdle ends connections on which nothing is sent.
func (r *Reader) endIdle() {
	tick := time.NewTicker(r.l.look)
	defer tick.Stop()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-tick.C:
			r.sweep(func(f *flow) bool { return f.idle() > r.l.idle })
		}
	}
}
