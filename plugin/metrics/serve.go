package metrics

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
)

// Whoever can connect may keep these busy, and nothing else of the daemon.
const (
	connections = 16
	headerTime  = 5 * time.Second
	writeTime   = 30 * time.Second
	// idleTime is longer than scrapers pause, so that they keep their connection.
	idleTime   = 75 * time.Second
	headerSize = 8 << 10
	// endTime is for scrapes that are under way at the end.
	endTime = time.Second
	// retryTime is the pause after a listen that failed.
	retryTime = 5 * time.Second
	// probeTime bounds the question whether somebody answers on a socket.
	probeTime = time.Second
)

// Serve answers scrapes on an address of their own until ctx ends. An address that
// cannot be had, say since the host gets it later in its boot, is tried again: networks
// do not depend on metrics.
func (m *Metrics) Serve(ctx context.Context, at config.Listen, log *logrus.Entry) {
	told := false
	for ctx.Err() == nil {
		l, err := listen(ctx, at)
		if err == nil {
			log.Infof("metrics are served at %s", at)
			m.unserved.Store(nil)
			err = m.serve(ctx, l, log)
			told = false
		}
		if err != nil {
			text := fmt.Sprintf("metrics are not served at %s: %v", at, err)
			m.unserved.Store(&text)
		}
		if err != nil && !told && ctx.Err() == nil {
			log.WithError(err).Warnf("metrics are not served at %s; this is tried again", at)
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryTime):
		}
	}
}

// Unserved says why nothing is served at the address of its own; empty if it is, or there is
// none.
func (m *Metrics) Unserved() string {
	if text := m.unserved.Load(); text != nil {
		return *text
	}
	return ""
}

func (m *Metrics) serve(ctx context.Context, l net.Listener, entry *logrus.Entry) error {
	server := &http.Server{
		Handler:           only(m),
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       headerTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerSize,
		ErrorLog:          log.New(lines{entry}, "", 0),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(netutil.LimitListener(l, connections)) }()
	select {
	case err := <-ended:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return errors.Join(server.Shutdown(soon), server.Close())
}

// only lets questions for metrics pass, and nothing else.
func only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != plugin.MetricsPath:
			http.Error(w, "metrics are at "+plugin.MetricsPath, http.StatusNotFound)
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "metrics are read with GET", http.StatusMethodNotAllowed)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// listen opens the address. Nobody but root may connect to a unix socket: it has its
// mode before it has its name.
func listen(ctx context.Context, at config.Listen) (net.Listener, error) {
	if at.Network != "unix" {
		return new(net.ListenConfig).Listen(ctx, at.Network, at.Address)
	}
	if err := clearStale(ctx, at.Address); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, failed)
	}}
	return lc.Listen(ctx, at.Network, at.Address)
}

// clearStale removes a socket that nobody answers on: one of a daemon that was killed.
func clearStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return nil // the listen tells
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		return c.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}

// lines takes the server's own messages, which are about connections.
type lines struct{ log *logrus.Entry }

func (l lines) Write(p []byte) (int, error) {
	l.log.Debug("metrics: " + strings.TrimSpace(string(p)))
	return len(p), nil
}
