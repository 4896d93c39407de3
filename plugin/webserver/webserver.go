package webserver

import (
	"context"
	"errors"
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
)

// The bounds of clients.
const (
	// Connections are served at a time; more wait.
	Connections = 16
	headerTime  = 5 * time.Second
	writeTime   = 30 * time.Second
	// idleTime is longer than scrapers pause, so that they keep their connection.
	idleTime   = 75 * time.Second
	headerSize = 8 << 10
	// endTime is for requests that are under way at the end.
	endTime = time.Second
	// probeTime bounds the question whether somebody answers on a socket.
	probeTime = time.Second
)

// Serve answers with handler until ctx ends, which also ends the context of all requests.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, entry *logrus.Entry) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       headerTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerSize,
		ErrorLog:          log.New(lines{entry}, "", 0),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(netutil.LimitListener(l, Connections)) }()
	select {
	case err := <-ended:
		return errors.Join(err, server.Close())
	case <-ctx.Done():
	}
	soon, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
	defer cancel()
	return errors.Join(server.Shutdown(soon), server.Close())
}

// Listen opens an address. Nobody but root may connect to a unix socket: it has its mode
// before it has its name.
func Listen(ctx context.Context, at config.Listen) (net.Listener, error) {
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

// clearStale removes a socket that nobody answers on: one of a process that was killed.
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
	l.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}
