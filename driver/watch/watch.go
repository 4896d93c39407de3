package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// Options are what a Watcher works with.
type Options struct {
	// SysctlRoot is the root of the sysctl tree. Empty stands for
	// /host/proc/sys where that exists, else /proc/sys.
	SysctlRoot string
	Log        *logrus.Entry
}

// Watcher listens to the kernel. Its methods are safe for concurrent use.
type Watcher struct {
	log     *logrus.Entry
	changes chan struct{}
	links   *links
	readers

	// mu guards the rest.
	mu      sync.Mutex
	suspect string
	// told are the links that have changed since the last Take.
	told spec.Scope
}

// readers are those of the sockets.
type readers struct {
	// files are the sockets, closed to end the readers.
	files []*os.File
	// end ends who waits for time.
	end context.CancelFunc
	// working counts the readers.
	working sync.WaitGroup
}

// New starts listening. Without rtnetlink it fails; without one of the others
// it goes on and says so in the log, since a periodic comparison finds
// everything some time later.
func New(o Options) (*Watcher, error) {
	w := &Watcher{log: o.Log, changes: make(chan struct{}, 1)}
	route, err := listen(unix.NETLINK_ROUTE, routeGroups)
	if err != nil {
		return nil, fmt.Errorf("listen to changes of links: %w", err)
	}
	w.files = append(w.files, route)
	if err = attach(route, onlySomeRoutes()); err != nil {
		o.Log.WithError(err).Warn("every change of a route is looked at")
	}
	tree, err := newTree(o.SysctlRoot)
	if err == nil {
		w.files = append(w.files, tree.events)
		w.read(tree.events, "sysctls", func(b []byte) { w.tell(tree.see(b)) }, w.lost)
	} else {
		o.Log.WithError(err).Warn("sysctls that somebody changes are mended later than they could be")
	}
	w.links = newLinks(tree)
	rules, err := listen(unix.NETLINK_NETFILTER, []int{unix.NFNLGRP_NFTABLES})
	if err == nil {
		err = attach(rules, onlyGenerations())
		w.files = append(w.files, rules)
	}
	if err == nil {
		w.read(rules, "rules", w.rulesChanged, w.Changed)
	} else {
		o.Log.WithError(err).Warn("rules that somebody changes are mended later than they could be")
	}
	ctx, end := context.WithCancel(context.Background())
	w.end = end
	tables, err := newLegacy()
	if err == nil {
		w.watchLegacy(ctx, tables)
	} else {
		o.Log.WithError(err).Warn("rules that somebody changes are mended later than they could be")
	}
	w.read(route, "links", func(b []byte) { w.tell(w.links.see(b)) }, func() {
		w.lost()
		w.dump(route)
	})
	w.dump(route)
	return w, nil
}

// Changes receives a value after a change. It holds one: who receives it finds
// everything that changed before, as far as it is links' by Take.
func (w *Watcher) Changes() <-chan struct{} { return w.changes }

// Take returns which links of gangway, or what of theirs, changed since the last
// call; none, if all that changed is the firewall's. What it does not return yet
// Changes tells later.
func (w *Watcher) Take() spec.Scope {
	select {
	case <-w.changes:
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told
	w.told = spec.Scope{}
	return told
}

// Suspect names who changed the firewall's rules last other than this process
// and its children, as far as the kernel tells: "nft (pid 12) run by firewalld".
// It is empty if nobody did.
func (w *Watcher) Suspect() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.suspect
}

// Close stops listening.
func (w *Watcher) Close() error {
	var errs []error
	w.end()
	for _, f := range w.files {
		errs = append(errs, f.Close())
	}
	w.working.Wait()
	return errors.Join(errs...)
}

// Changed counts something that the kernel does not tell of, and that is not about
// links, as a change.
func (w *Watcher) Changed() {
	select {
	case w.changes <- struct{}{}:
	default:
	}
}

// manyLinks are as many as may be told by name. To look at all of them at once
// takes no longer then, and what nobody takes does not grow.
const manyLinks = 256

// tell counts a change of links. It notes which before it says so: who is told
// while it does comes again.
func (w *Watcher) tell(about spec.Scope) {
	if about.Empty() {
		return
	}
	w.mu.Lock()
	w.told.Join(about)
	if len(w.told.Links) > manyLinks {
		w.told = spec.Scope{All: true}
	}
	w.mu.Unlock()
	w.Changed()
}

// lost counts a change of anything.
func (w *Watcher) lost() { w.tell(spec.Scope{All: true}) }

// dump asks for all links. The answers come by the same socket as what changes
// meanwhile, and mean the same.
func (w *Watcher) dump(route *os.File) {
	if _, err := route.Write(dumpLinks()); err != nil {
		w.log.WithError(err).Warn("list the links: changes are noticed later than they could be")
	}
}

func (w *Watcher) rulesChanged(b []byte) {
	for _, g := range generations(b) {
		who, own := author(g)
		if own {
			continue
		}
		w.mu.Lock()
		w.suspect = who
		w.mu.Unlock()
	}
	w.Changed()
}

// bufferSize holds the longest message: the kernel cuts dumps at 32 KiB.
const bufferSize = 64 << 10

// read calls see with every message until the file is closed, and lost where
// the kernel had to drop some.
func (w *Watcher) read(f *os.File, what string, see func([]byte), lost func()) {
	w.working.Go(func() {
		buf := make([]byte, bufferSize)
		for {
			n, err := f.Read(buf)
			switch {
			case err == nil:
				see(buf[:n])
			case errors.Is(err, unix.ENOBUFS):
				lost()
			case errors.Is(err, os.ErrClosed):
				return
			default:
				w.log.WithError(err).Errorf("stop watching %s: what somebody changes is mended later than it could be", what)
				return
			}
		}
	})
}

// receiveBuffer is what the kernel may queue, in bytes; a burst beyond it is
// one change and another dump of the links.
const receiveBuffer = 1 << 20

// listen opens a netlink socket that is in the groups.
func listen(family int, groups []int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, family)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	// A smaller queue overflows earlier, which costs a dump and no more.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, errors.Join(fmt.Errorf("bind a netlink socket: %w", err), unix.Close(fd))
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); err != nil {
			return nil, errors.Join(fmt.Errorf("join netlink group %d: %w", g, err), unix.Close(fd))
		}
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}
