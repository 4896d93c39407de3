package resolver

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/reader"
)

// Host is what of the host's network is asked. Its methods are safe for concurrent use.
type Host interface {
	// Link names the link of that index.
	Link(ctx context.Context, index int) (string, error)
	// Came says by which link the client of an accepted connection came.
	Came(fd int, ipv6 bool) (link int, err error)
	// Asked is where the client has sent what came to a local address by redirection.
	Asked(proto uint8, client, local netip.AddrPort) (netip.AddrPort, error)
	// Addresses are all that a container has on its network, of which one is known.
	Addresses(a netip.Addr) []netip.Addr
}

// Options are what New needs.
type Options struct {
	Host Host
	// Learn opens addresses; they are open when it returns.
	Learn func(ctx context.Context, list []policy.Learned) error
	// Knows says that somebody has learned of an address by that very name.
	Knows func(who policy.Who, to netip.Addr, name string) bool
	// Way is that of connections that pass through the daemon, see reader.Host.
	Way func(ctx context.Context, p reader.Passage) (source netip.Addr, err error)
	// Servers are the host's own, in the order in which they are asked. Others are known to
	// be asked by engines in the name of containers.
	Servers func() (own, others []netip.AddrPort)
	Log     *logrus.Entry
}

// Resolver answers questions. Its methods are safe for concurrent use.
type Resolver struct {
	o       Options
	book    book
	links   links
	shares  shares
	refused refused
	fresh   *fresh
	// reader passes on what is sent to addresses of strict names.
	reader *reader.Reader
	listening
}

// listening is where it listens.
type listening struct {
	mu      sync.Mutex
	sockets *sockets
}

// New makes a resolver that listens nowhere until somebody has a policy with names.
func New(o Options) *Resolver {
	r := &Resolver{o: o, shares: newShares(mostQuestions, mostOfContainer)}
	r.links.ask = o.Host.Link
	r.fresh = newFresh(o.Learn, func(ctx context.Context, name string, kind uint16) (answer, error) {
		return r.ask(ctx, name, kind)
	}, o.Log)
	r.reader = reader.New(reader.Options{Host: readersHost{o.Host, o.Way}, Whose: r.whose, Knows: o.Knows, Refuse: r.refuse, Log: o.Log})
	return r
}

// readersHost is what of the host's network the reader asks.
type readersHost struct {
	Host
	way func(ctx context.Context, p reader.Passage) (netip.Addr, error)
}

func (h readersHost) Way(ctx context.Context, p reader.Passage) (netip.Addr, error) {
	return h.way(ctx, p)
}

// whose finds the policy for a connection that came by a link from an address; an open one
// where nobody has said anything.
func (r *Resolver) whose(link int, from netip.Addr) (reader.Client, bool) {
	name, err := r.links.name(link)
	if err != nil {
		return reader.Client{}, false
	}
	texts, p := r.book.counts(name, from)
	return reader.Client{Bridge: name, Texts: texts, Policy: p}, true
}

// refuse counts a connection that was not passed on, and tells who looks.
func (r *Resolver) refuse(c reader.Refusal) {
	told := firewall.Refused{Time: time.Now(), Reason: c.Reason, In: c.Bridge, Protocol: "tcp", From: c.From, To: c.To, Name: printable(c.Name)}
	if c.Reason == firewall.Policy {
		told.Option = policy.OptionNames
	}
	r.refused.tell(told)
}

// Close ends what listens and asks.
func (r *Resolver) Close() {
	r.fresh.end()
	r.reader.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets != nil {
		r.sockets.close()
		r.sockets = nil
	}
}

// Follow hears of bindings that go and come, and returns where those with names are served.
func (r *Resolver) Follow(remove, add []policy.Binding) (policy.Serving, error) {
	r.book.change(remove, add)
	return r.serve()
}

// FollowAll hears of all there are.
func (r *Resolver) FollowAll(all []policy.Binding) (policy.Serving, error) {
	r.book.set(all)
	return r.serve()
}

// serve has the sockets open as long as somebody has a policy with names. Until rules follow,
// what is sent there leads to nobody.
func (r *Resolver) serve() (at policy.Serving, err error) {
	r.links.forget()
	inUse := r.book.policies()
	r.fresh.follow(inUse)
	if at.Questions, err = r.answerAt(inUse); err != nil {
		return at, err
	}
	reads := slices.ContainsFunc(slices.Collect(maps.Values(inUse)), policy.Policy.Reads)
	at.Connections, err = r.reader.Serve(reads)
	return at, err
}

// Serving is where those with names are served just now.
func (r *Resolver) Serving() policy.Serving {
	at := policy.Serving{Connections: r.reader.Port()}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sockets != nil {
		at.Questions = r.sockets.port
	}
	return at
}

func (r *Resolver) answerAt(inUse map[config.Policy]policy.Policy) (uint16, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(inUse) == 0 && r.sockets != nil:
		r.sockets.close()
		r.sockets = nil
		fallthrough
	case len(inUse) == 0:
		return 0, nil
	}
	if r.sockets == nil {
		s, err := listen(r)
		if err != nil {
			return 0, err
		}
		r.sockets = s
		if text := r.HostAsked(); text != "" {
			r.o.Log.Info(cause.Of(cause.HostAsked, text).Line())
		}
	}
	return r.sockets.port, nil
}

// Unresolved says which names nobody answers that policies have by themselves, or that nobody is
// there who could be asked; empty for none.
func (r *Resolver) Unresolved() string {
	if own, _ := r.o.Servers(); len(own) == 0 && len(r.book.policies()) > 0 {
		return "policies have names, and the host has no server that could be asked for them"
	}
	return r.fresh.trouble()
}

// HostAsked says that engines ask for names in the host's own name, so that nobody is seen to ask
// for what *.NAME allows; empty where that is not so, or nobody has such a policy.
func (r *Resolver) HostAsked() string {
	server, does := hostAsks(r.o.Servers())
	if !does {
		return ""
	}
	below := map[string]bool{}
	for _, p := range r.book.policies() {
		for _, a := range p.Allow {
			if a.Name != "" && a.Plain() == "" {
				below[a.Name] = true
			}
		}
	}
	if len(below) == 0 {
		return ""
	}
	return fmt.Sprintf("the host's server of names, %s, is on its loopback, and policies allow %s", server, policy.OneText(slices.Sorted(maps.Keys(below))))
}

// links remembers what links are called, as long as nothing is known to have changed.
type links struct {
	ask   func(ctx context.Context, index int) (string, error)
	mu    sync.Mutex
	names map[int]named
}

type named struct {
	name  string
	until time.Time
}

const (
	// linkTime is how long a link is believed to have its name, linkAsk how long the kernel
	// may take to tell it.
	linkTime = 5 * time.Second
	linkAsk  = time.Second
	mostSeen = 4096
)

func (l *links) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names = nil
}

func (l *links) name(index int) (string, error) {
	l.mu.Lock()
	known, there := l.names[index]
	l.mu.Unlock()
	if there && time.Now().Before(known.until) {
		return known.name, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), linkAsk)
	defer cancel()
	name, err := l.ask(ctx, index)
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.names == nil || len(l.names) > mostSeen {
		l.names = map[int]named{}
	}
	l.names[index] = named{name, time.Now().Add(linkTime)}
	return name, nil
}
