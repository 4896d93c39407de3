package firewalld

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"
)

const (
	// answerTime is how long one call of this package may take. firewalld does
	// not answer while it reloads, which takes a second.
	answerTime = 2 * time.Second
	// lookTime is how long a look at the zone holds without a signal.
	lookTime = 30 * time.Second
)

// sockets are where the system bus listens (D-Bus specification, "Well-known
// Message Bus Instances"): on the host as a managed plugin sees it, and here.
var sockets = [...]string{"/host/run/dbus/system_bus_socket", "/run/dbus/system_bus_socket"}

// generated matches the names that gangway gives to its bridges.
var generated = regexp.MustCompile(`^gw-[0-9a-z]{1,12}$`)

// Options are what a Zone works with.
type Options struct {
	// Socket is the path of the bus's socket; empty for the system bus.
	Socket string
	// Changed, if set, is called when the zone may have lost a bridge.
	Changed func()
	Log     *logrus.Entry
}

// Zone is firewalld's zone for bridges. Without a bus or without firewalld
// there is nothing to do, and its methods do nothing. They are safe for
// concurrent use, and return within two seconds.
type Zone struct {
	o Options
	// turn is held by the one who talks to firewalld, which answers one call
	// after the other anyway.
	turn chan struct{}
	// talk belongs to whoever has the turn; nil without a bus.
	talk    *talk
	readers sync.WaitGroup

	mu sync.Mutex
	// held are the bridges that need nothing more, as of looked.
	held   map[string]bool
	looked time.Time
	// stale says that the zone may have changed since.
	stale bool
}

// New returns a zone; nothing is asked before the first call of a method.
func New(o Options) *Zone {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Zone{o: o, turn: make(chan struct{}, 1), held: map[string]bool{}}
}

// Enter puts a bridge, which need not exist yet, into the zone. One that is in
// a zone already stays there.
func (z *Zone) Enter(ctx context.Context, bridge string) error {
	err := z.do(ctx, func(ctx context.Context, t *talk) error {
		_, err := t.enter(ctx, bridge)
		if err == nil {
			z.hold(bridge, true)
		}
		return err
	})
	return wrap("put bridge "+bridge+" into firewalld's zone "+zone, err)
}

// Leave takes a bridge out of the zone. One that is not there is no error.
func (z *Zone) Leave(ctx context.Context, bridge string) error {
	err := z.do(ctx, func(ctx context.Context, t *talk) error {
		z.hold(bridge, false) // the signal that follows is no news
		err := t.leave(ctx, bridge)
		if err != nil {
			z.hold(bridge, true)
		}
		return err
	})
	return wrap("take bridge "+bridge+" out of firewalld's zone "+zone, err)
}

// Sync makes the zone hold the bridges that want names and no others of gangway,
// and returns a line for each that it put there or took out. Those that are moving,
// it leaves alone. It asks want while nobody enters or leaves.
func (z *Zone) Sync(ctx context.Context, want func() (bridges, moving []string)) (fixed []string, err error) {
	err = z.do(ctx, func(ctx context.Context, t *talk) error {
		bridges, moving := want()
		before, fresh := z.seen(bridges, moving)
		if fresh {
			return nil
		}
		fixed, err = t.sync(ctx, bridges, moving, before)
		z.saw(bridges, moving, err == nil)
		return err
	})
	return fixed, wrap("put gangway's bridges into firewalld's zone "+zone, err)
}

// Close ends the connection to the bus. The zone keeps its bridges.
func (z *Zone) Close() error {
	z.turn <- struct{}{}
	defer func() { <-z.turn }()
	var err error
	if z.talk != nil {
		err = z.talk.conn.Close()
	}
	z.readers.Wait()
	return err
}

// do calls f when firewalld runs and answers.
func (z *Zone) do(ctx context.Context, f func(context.Context, *talk) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errSilent)
	defer cancel()
	select {
	case z.turn <- struct{}{}:
		defer func() { <-z.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t, err := z.connected(ctx)
	switch {
	case err != nil || t == nil || !t.running():
		return err
	case t.silent():
		return errSilent
	}
	if err = f(ctx, t); err == nil || gone(err) {
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) && errors.Is(context.Cause(ctx), errSilent) {
		z.awaitAnswer(t)
		return errSilent
	}
	return err
}

// seen returns the bridges that were held at the last look, and whether it
// still shows that the given ones are, and no others than those that are moving. If
// not, the caller has to look again and to call saw.
func (z *Zone) seen(bridges, moving []string) (held []string, fresh bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	held = slices.Sorted(maps.Keys(z.held))
	still := slices.DeleteFunc(slices.Clone(held), func(b string) bool { return slices.Contains(moving, b) })
	if !z.stale && time.Since(z.looked) < lookTime && slices.Equal(still, slices.Sorted(slices.Values(bridges))) {
		return held, true
	}
	z.stale = false // of what changes from here on, signals tell
	return held, false
}

// saw notes whether the zone holds the bridges, and no others of gangway than those
// that are moving, of which it knows no more than before.
func (z *Zone) saw(bridges, moving []string, ok bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if !ok {
		z.stale = true
		return
	}
	z.looked = time.Now()
	maps.DeleteFunc(z.held, func(b string, _ bool) bool { return !slices.Contains(moving, b) })
	for _, b := range bridges {
		z.held[b] = true
	}
}

func (z *Zone) hold(bridge string, in bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if in {
		z.held[bridge] = true
	} else {
		delete(z.held, bridge)
	}
}

// outdated says that the zone may have changed; with a bridge, only if that one
// was held.
func (z *Zone) outdated(bridge string) {
	z.mu.Lock()
	news := bridge == "" || z.held[bridge]
	z.stale = z.stale || news
	z.mu.Unlock()
	if news {
		z.o.Changed()
	}
}

var errSilent = fmt.Errorf("firewalld does not answer within %s; it is asked again when it does", answerTime)

// errNoZone says what a user can do.
var errNoZone = errors.New("firewalld has no such zone, and rejects what the networks forward: restart the engine, which makes the zone when it starts beside firewalld, or put the bridge into a zone of yours")

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// gone says that firewalld or the bus ended meanwhile, of which a signal tells.
func gone(err error) bool {
	var failed dbus.Error
	if errors.As(err, &failed) {
		switch failed.Name {
		case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.NoReply":
			return true
		}
	}
	return errors.Is(err, dbus.ErrClosed)
}
