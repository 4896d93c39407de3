package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/docker/go-plugins-helpers/sdk"
	"github.com/sirupsen/logrus"
)

// verb is one call of the protocol.
type verb[Req, Resp any] struct {
	// op is the call's name, such as NetworkDriver.Join.
	op string
	// bodiless calls come without a body.
	bodiless bool
	// early calls are answered before the state is restored.
	early bool
	// about says what a call is about, for the log. Calls without it change
	// nothing and are logged for debugging only.
	about func(*Req, *Resp) subject
	// do converts the request and calls the domain.
	do func(context.Context, *Req) (*Resp, error)
}

// none is the request or answer of a call that has none.
type none struct{}

// subject is what a call is about.
type subject struct{ net, ep, pool, addr string }

func (s subject) fields() logrus.Fields {
	f := logrus.Fields{}
	for name, value := range map[string]string{"net": short(s.net), "ep": short(s.ep), "pool": s.pool, "addr": s.addr} {
		if value != "" {
			f[name] = value
		}
	}
	return f
}

// short cuts an id for the log. Nothing may be assumed about its length.
func short(id string) string { return id[:min(len(id), 12)] }

// route makes h answer the call v.
func route[Req, Resp any](s *Server, h sdk.Handler, v verb[Req, Resp]) {
	s.names = append(s.names, v.op)
	h.HandleFunc("/"+v.op, func(w http.ResponseWriter, r *http.Request) {
		started := time.Now()
		var req Req
		resp := new(Resp)
		err := decode(w, r, v.bodiless, &req)
		if err == nil {
			var answer *Resp
			if answer, err = run(s, v, &req); answer != nil {
				resp = answer
			}
		}
		took := time.Since(started)
		entry := s.o.Log.WithFields(logrus.Fields{"op": v.op, "dur": took.Round(time.Microsecond)})
		if v.about != nil {
			entry = entry.WithFields(v.about(&req, resp).fields())
		}
		s.answered(v.op, err, took)
		logOutcome(entry, err, v.about != nil)
		if err != nil {
			s.writeError(w, err)
			return
		}
		sdk.EncodeResponse(w, resp, false)
	})
}

// logOutcome writes the one line that a call leaves in the log.
func logOutcome(entry *logrus.Entry, err error, changes bool) {
	var bad *requestError
	var panicked *panicError
	switch {
	case errors.As(err, &panicked):
		entry.WithField("stack", string(panicked.stack)).Error(err)
	case errors.As(err, &bad):
		entry.Warn("refused: " + err.Error())
	case err != nil:
		entry.Error(err)
	case changes:
		entry.Info("done")
	default:
		entry.Debug("done")
	}
}

// run carries out one call. Its context ends with the deadline or with the
// daemon, and not with the connection: an engine that dies in the middle of a
// teardown never repeats it.
//
// The call runs in a goroutine of its own, so that one that heeds no context
// (a thread stuck in the kernel) cannot keep the engine waiting: after a
// restart the engine waits without any timeout.
func run[Req, Resp any](s *Server, v verb[Req, Resp], req *Req) (*Resp, error) {
	type outcome struct {
		resp *Resp
		err  error
	}
	ctx, cancel := context.WithTimeout(s.verbs, s.o.VerbTime)
	done := make(chan outcome, 1)
	s.inFlight.Add(1)
	go func() {
		defer cancel()
		resp, err := attempt(ctx, s, v, req)
		// Whoever has the answer must not find the call under way still.
		s.inFlight.Add(-1)
		done <- outcome{resp: resp, err: err}
	}()
	limit := time.NewTimer(s.o.VerbTime + s.o.UndoTime)
	defer limit.Stop()
	select {
	case o := <-done:
		switch {
		case errors.Is(o.err, context.DeadlineExceeded):
			return nil, fmt.Errorf("gave up after %s: %w", s.o.VerbTime, o.err)
		case errors.Is(o.err, context.Canceled) && s.verbs.Err() != nil:
			return nil, fmt.Errorf("gave up since gangway is stopping; run the command again when it is back: %w", o.err)
		}
		return o.resp, o.err
	case <-limit.C:
		// Nobody waits for the outcome any more, but the log must have it.
		go func() {
			o := <-done
			logOutcome(s.o.Log.WithFields(logrus.Fields{"op": v.op, "late": true}), o.err, true)
		}()
		return nil, fmt.Errorf("%s does not end: gave up waiting after %s; see gangway's log and restart it if this happens again", v.op, s.o.VerbTime+s.o.UndoTime)
	}
}

// attempt waits for the state, unless the call is an early one, and calls the
// domain. A panic becomes an error.
func attempt[Req, Resp any](ctx context.Context, s *Server, v verb[Req, Resp], req *Req) (resp *Resp, err error) {
	defer func() {
		if p := recover(); p != nil {
			resp, err = nil, &panicError{op: v.op, value: p, stack: debug.Stack()}
		}
	}()
	if !v.early {
		if err := s.waitReady(ctx); err != nil {
			return nil, err
		}
	}
	return v.do(ctx, req)
}
