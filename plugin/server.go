package plugin

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/plugin/names"
)

// Times of a request and of the daemon's end, and why they are so long.
const (
	// verbTime bounds a call. The engine's client gives up after 30 s, or
	// never after the engine was restarted.
	verbTime = 20 * time.Second
	// undoTime is what a call that ran out of time gets for undoing what it did
	// (the driver takes 8 s at most); both stay below 30 s.
	undoTime = 9 * time.Second
	// drainTime is for requests that are under way at the end: the engine sends
	// SIGKILL 10 s after SIGTERM.
	drainTime = 8 * time.Second

	// headerTime and readTime bound how long a client may take to send a
	// request, writeTime how long the whole exchange may take.
	headerTime = 5 * time.Second
	readTime   = 15 * time.Second
	writeTime  = readTime + verbTime + undoTime
	// idleTime is for a connection between two requests. The engine keeps
	// connections for ever; if we close one just when it sends a request, it
	// repeats that request without its body. So this is long.
	idleTime = 24 * time.Hour
)

// Options are what a Server works with. Zero times stand for the defaults.
type Options struct {
	// Refuse is why the daemon cannot work, such as a setting that is wrong. Then
	// every call of the engine that asks for something to be done is answered with
	// it, and there are no Networks, Addresses and Inspector.
	Refuse    error
	Networks  Networks
	Addresses Addresses
	Inspector Inspector
	// Holdings, if set, tells of addresses.
	Holdings Holdings
	// Policies, if set, keeps who may talk to whom.
	Policies Policies
	// Drops, if set, tells what was refused.
	Drops Drops
	// Traffic, if set, tells what has passed endpoints.
	Traffic Traffic
	// Rates, if set, changes how much containers get and send.
	Rates Rates
	// Foreign, if set, tells of ports of others on bridges of networks.
	Foreign Foreign
	// Names is what engines call networks and containers; nil for no names.
	Names *names.Book
	// Causes, if set, tells what else keeps the daemon from being ok. It waits for nothing.
	Causes  func() []cause.Cause
	Version Version
	// Serving, if set, tells where containers whose policy has names are served.
	Serving func() Serving
	// Settings are shown to who asks for the status.
	Settings map[string]string
	Log      *logrus.Entry
	// Calls, if set, is told of calls; Metrics, if set, answers at MetricsPath.
	Calls   Calls
	Metrics http.Handler
	// Notify tells a service manager (sd_notify(3)); nil for nobody. It hears that the
	// daemon has started as soon as connections are served, not when the state is
	// restored: an engine is ordered after the daemon, and is not to wait for that. Its
	// calls do.
	Notify func(state string) error
	// Watchdog is within what time the service manager wants to hear again and again
	// that the daemon works (sd_watchdog_enabled(3)); 0 for never.
	Watchdog time.Duration
	// VerbTime bounds each call; UndoTime is added for a call that ran out of
	// it. DrainTime bounds the end of Serve.
	VerbTime, UndoTime, DrainTime time.Duration
}

// Server answers the engine and the gangway command. Connections are served
// from Serve on, calls from Ready on: what comes between waits.
type Server struct {
	o       Options
	http    *http.Server
	started time.Time
	calls
	readiness
	ending
}

// calls are those of the plugin protocol.
type calls struct {
	// verbs is the context of every call; abort ends it.
	verbs context.Context
	abort context.CancelFunc
	// names are those of the calls that there are.
	names []string

	inFlight, served, failed atomic.Int64
}

// readiness says whether the state is restored, for which calls wait.
type readiness struct {
	// ready is closed when it is.
	ready chan struct{}

	// mu guards the rest.
	mu      sync.Mutex
	isReady bool
	greeted bool
	// readyAt is when the state was restored.
	readyAt time.Time
}

// ending is the end of Serve.
type ending struct {
	stopping chan struct{}
	stopOnce sync.Once
}

// untilStopping is ctx, which also ends when the daemon stops.
func (s *Server) untilStopping(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// New returns a server that does not listen yet; see Listen and Serve.
func New(o Options) (*Server, error) {
	works := o.Networks != nil && o.Addresses != nil && o.Inspector != nil
	if works == (o.Refuse != nil) || o.Log == nil {
		return nil, errors.New("plugin server: Log is needed, and either Networks, Addresses and Inspector, or Refuse")
	}
	if o.Refuse != nil {
		o.Inspector = refusing{why: o.Refuse}
	}
	o.VerbTime = orDefault(o.VerbTime, verbTime)
	o.UndoTime = orDefault(o.UndoTime, undoTime)
	o.DrainTime = orDefault(o.DrainTime, drainTime)
	s := &Server{o: o, started: time.Now(), readiness: readiness{ready: make(chan struct{})}, ending: ending{stopping: make(chan struct{})}}
	s.verbs, s.abort = context.WithCancel(context.Background())
	mux, err := s.newMux()
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler:           s.guard(mux),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(logWriter{o.Log}, "", 0),
	}
	return s, nil
}

func orDefault(d, fallback time.Duration) time.Duration {
	if d == 0 {
		return fallback
	}
	return d
}

// Ready says that the state is restored. Calls that wait go on, and an engine
// that greeted before is announced to the address manager first.
func (s *Server) Ready() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isReady {
		return
	}
	if s.greeted {
		s.o.Addresses.Greet()
	}
	s.isReady, s.readyAt = true, time.Now()
	close(s.ready)
}

// greet tells the address manager that an engine asked for capabilities. The
// answer does not wait for the state: without it the engine would register the
// driver with none.
func (s *Server) greet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.greeted = true
	if s.isReady {
		s.o.Addresses.Greet()
	}
}

// waitReady waits until calls may be carried out.
func (s *Server) waitReady(ctx context.Context) error {
	if s.o.Refuse != nil {
		return s.o.Refuse
	}
	select {
	case <-s.ready:
		return nil
	default:
	}
	select {
	case <-s.ready:
		return nil
	case <-s.stopping:
		return errors.New("gangway is stopping before its networks were restored; see its log")
	case <-ctx.Done():
		return &restoringError{ctx.Err()}
	}
}

// Serve answers on sock until ctx ends, then stops accepting, gives requests
// that are under way the drain time, and removes the socket. Networks and
// traffic of running containers stay as they are. It returns nil after an
// orderly end.
func (s *Server) Serve(ctx context.Context, sock *Socket) error {
	ended := make(chan error, 1)
	go func() { ended <- s.http.Serve(sock.listener) }()
	s.notify(systemd.SdNotifyReady)
	watched, unwatch := context.WithCancel(ctx)
	defer unwatch()
	go s.feed(watched)
	select {
	case err := <-ended:
		s.stopOnce.Do(func() { close(s.stopping) })
		s.abort()
		return errors.Join(fmt.Errorf("serve %s: %w", sock.path, err), sock.Close())
	case <-ctx.Done():
	}
	return s.drain(context.WithoutCancel(ctx), sock)
}

// drain ends the server. The socket's name goes first, while the listener still
// holds its inode: that is how we know it for ours.
func (s *Server) drain(ctx context.Context, sock *Socket) error {
	s.stopOnce.Do(func() { close(s.stopping) })
	s.notify(systemd.SdNotifyStopping)
	removeErr := sock.remove()
	ctx, cancel := context.WithTimeout(ctx, s.o.DrainTime)
	defer cancel()
	// Calls that take long are told to end in time to undo what they did.
	abort := time.AfterFunc(s.o.DrainTime*3/4, s.abort)
	defer abort.Stop()
	defer s.abort()
	if err := s.http.Shutdown(ctx); err != nil {
		err = fmt.Errorf("stop: %d calls were still under way after %s: %w", s.inFlight.Load(), s.o.DrainTime, err)
		return errors.Join(err, s.http.Close(), removeErr)
	}
	return removeErr
}

// guard bounds what a handler itself does not: a panic outside of a call.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				err := &panicError{op: r.URL.Path, value: p, stack: debug.Stack()}
				s.count(err)
				logOutcome(s.o.Log.WithField("op", r.URL.Path), err, true)
				s.writeError(w, err)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// count keeps the numbers that the status shows.
func (s *Server) count(err error) {
	s.served.Add(1)
	if err != nil {
		s.failed.Add(1)
	}
}

// notify tells the service manager. Nobody to tell, or nobody who listens, is
// no reason to stop.
func (s *Server) notify(state string) {
	if s.o.Notify == nil {
		return
	}
	if err := s.o.Notify(state); err != nil {
		s.o.Log.WithError(err).Warnf("cannot tell the service manager %s", state)
	}
}

// logWriter takes the http server's own messages, which are about connections.
type logWriter struct{ log *logrus.Entry }

func (l logWriter) Write(p []byte) (int, error) {
	l.log.Warn(strings.TrimSpace(string(p)))
	return len(p), nil
}
