package firewalld

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
)

// Names of firewalld's D-Bus interface, firewalld.dbus(5), and its zone.
const (
	service      = "org.fedoraproject.FirewallD1"
	path         = "/org/fedoraproject/FirewallD1"
	zoneMethods  = service + ".zone"
	exception    = service + ".Exception"
	zone         = "docker"
	busService   = "org.freedesktop.DBus"
	ownerChanged = busService + ".NameOwnerChanged"
)

// talk is a connection to the bus.
type talk struct {
	conn *dbus.Conn
	// up says that firewalld is on the bus, waits that it owes an answer.
	up, waits atomic.Bool
}

func (t *talk) running() bool { return t.up.Load() }
func (t *talk) silent() bool  { return t.waits.Load() }

// connected returns the connection, made first if there is none; nil without a
// bus. The caller has the turn.
func (z *Zone) connected(ctx context.Context) (*talk, error) {
	if z.talk != nil && z.talk.conn.Connected() {
		return z.talk, nil
	}
	z.talk = nil
	conn, err := dial(ctx, z.o.Socket)
	if conn == nil || err != nil {
		return nil, wrap("connect to the system bus to talk to firewalld", err)
	}
	t := &talk{conn: conn}
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	if err := t.listen(ctx); err != nil {
		return nil, errors.Join(wrap("listen to firewalld's signals", err), conn.Close())
	}
	z.talk = t
	z.outdated("")
	z.readers.Go(func() { z.read(t, signals) })
	return t, nil
}

// dial connects to the bus; nil if there is none.
func dial(ctx context.Context, socket string) (*dbus.Conn, error) {
	candidates := sockets[:]
	if socket != "" {
		candidates = []string{socket}
	}
	for _, at := range candidates {
		var d net.Dialer
		raw, err := d.DialContext(ctx, "unix", at)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return greet(ctx, raw)
	}
	return nil, nil
}

// greet authenticates by the process's user id, within ctx's time: the library
// itself waits for the bus without end.
func greet(ctx context.Context, raw net.Conn) (*dbus.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		if err := raw.SetDeadline(deadline); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
	}
	conn, err := dbus.NewConn(raw)
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if err == nil {
		err = raw.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// listen asks for the signals first and for firewalld then, so that neither its
// start nor its end is missed.
func (t *talk) listen(ctx context.Context) error {
	for _, options := range [][]dbus.MatchOption{
		{dbus.WithMatchSender(busService), dbus.WithMatchInterface(busService), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg(0, service)},
		{dbus.WithMatchSender(service), dbus.WithMatchInterface(service), dbus.WithMatchMember("Reloaded")},
		{dbus.WithMatchSender(service), dbus.WithMatchInterface(zoneMethods), dbus.WithMatchMember("InterfaceRemoved")},
	} {
		if err := t.conn.AddMatchSignalContext(ctx, options...); err != nil {
			return err
		}
	}
	var up bool
	err := t.conn.BusObject().CallWithContext(ctx, busService+".NameHasOwner", 0, service).Store(&up)
	if up { // else a signal may have told otherwise since
		t.up.Store(true)
	}
	return err
}

// read follows the signals until the connection ends.
func (z *Zone) read(t *talk, signals <-chan *dbus.Signal) {
	for s := range signals {
		switch s.Name {
		case ownerChanged:
			var name, before, after string
			if dbus.Store(s.Body, &name, &before, &after) == nil && name == service {
				t.up.Store(after != "")
				z.outdated("")
			}
		case service + ".Reloaded":
			z.outdated("")
		case zoneMethods + ".InterfaceRemoved":
			var from, bridge string
			if dbus.Store(s.Body, &from, &bridge) == nil && from == zone && bridge != "" {
				z.outdated(bridge)
			}
		}
	}
	z.outdated("")
}

// awaitAnswer says when firewalld answers again.
func (z *Zone) awaitAnswer(t *talk) {
	t.waits.Store(true)
	z.readers.Go(func() {
		// Whatever the answer is, also the end of firewalld or of the bus.
		_ = t.call(t.conn.Context(), service+".getDefaultZone").Err
		t.waits.Store(false)
		z.outdated("")
	})
}

// call calls a method of firewalld, which is not started for that.
func (t *talk) call(ctx context.Context, method string, args ...any) *dbus.Call {
	return t.conn.Object(service, path).CallWithContext(ctx, method, dbus.FlagNoAutoStart, args...)
}

// enter puts a bridge into the zone, and says whether it was in none before.
func (t *talk) enter(ctx context.Context, bridge string) (entered bool, err error) {
	err = t.call(ctx, zoneMethods+".addInterface", zone, bridge).Err
	switch code(err) {
	case "":
		return err == nil, err
	case "ZONE_ALREADY_SET", "ZONE_CONFLICT", "ALREADY_ENABLED":
		return false, nil
	case "INVALID_ZONE":
		var other string
		err = t.call(ctx, zoneMethods+".getZoneOfInterface", bridge).Store(&other)
		if err == nil && other == "" {
			err = errNoZone
		}
		return false, err
	}
	return false, err
}

func (t *talk) leave(ctx context.Context, bridge string) error {
	err := t.call(ctx, zoneMethods+".removeInterface", zone, bridge).Err
	switch code(err) {
	case "UNKNOWN_INTERFACE", "ZONE_CONFLICT", "NOT_ENABLED", "INVALID_ZONE":
		return nil
	}
	return err
}

// sync makes the zone hold the bridges, and of gangway's others none that is not
// moving: of those that were held before, and those with a name that gangway
// generates.
func (t *talk) sync(ctx context.Context, bridges, moving, before []string) (fixed []string, err error) {
	var in []string
	err = t.call(ctx, zoneMethods+".getInterfaces", zone).Store(&in)
	if err != nil && code(err) != "INVALID_ZONE" {
		return nil, err
	}
	for _, b := range bridges {
		if slices.Contains(in, b) {
			continue
		}
		entered, err := t.enter(ctx, b)
		if err != nil {
			return fixed, fmt.Errorf("bridge %s: %w", b, err)
		}
		if entered {
			fixed = append(fixed, fmt.Sprintf("bridge %s: was not in firewalld's zone %s: put there", b, zone))
		}
	}
	for _, b := range in {
		if slices.Contains(bridges, b) || slices.Contains(moving, b) || !generated.MatchString(b) && !slices.Contains(before, b) {
			continue
		}
		if err := t.leave(ctx, b); err != nil {
			return fixed, fmt.Errorf("bridge %s: %w", b, err)
		}
		fixed = append(fixed, fmt.Sprintf("bridge %s: was left in firewalld's zone %s: taken out", b, zone))
	}
	return fixed, nil
}

// code returns the word that firewalld's errors begin with: "CODE" or
// "CODE: TEXT". It is empty for other errors, and for none.
func code(err error) string {
	var failed dbus.Error
	if !errors.As(err, &failed) || failed.Name != exception || len(failed.Body) == 0 {
		return ""
	}
	text, _ := failed.Body[0].(string)
	word, _, _ := strings.Cut(text, ":")
	return word
}
