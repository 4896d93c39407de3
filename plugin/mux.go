package plugin

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/docker/go-plugins-helpers/sdk"

	"github.com/gangway-net/gangway/printable"
)

// manifest answers Plugin.Activate, which only plain daemons are asked: for a
// managed plugin config.json says the same.
const manifest = `{"Implements": ["NetworkDriver", "IpamDriver"]}`

// newMux routes every call of the protocol and of the admin API through the
// helpers' sdk.
//
// The sdk hands its mux only to the http.Server that it makes, and that one has
// no timeouts and no shutdown. But a server is part of the context of each of
// its requests, so one request over a pipe yields the mux, to be served by a
// server of our own. Bounding the connections of the sdk's server from outside
// was the alternative: it means guessing which read belongs to what.
func (s *Server) newMux() (http.Handler, error) {
	h := sdk.NewHandler(manifest)
	s.routeNetworks(h)
	s.routeAddresses(h)
	s.routeAdmin(h)
	s.routeMetrics(h)
	var once sync.Once
	var mux http.Handler
	h.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		once.Do(func() {
			if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
				mux = server.Handler
			}
		})
		msg := printable.Text(fmt.Sprintf("%s %s: gangway has no such call; see the gangway command for its own API", r.Method, r.URL.Path))
		writeJSON(w, http.StatusNotFound, errorResponse{Err: msg, Error: msg})
	})
	if err := askOnce(h); err != nil {
		return nil, fmt.Errorf("set up the plugin protocol: %w", err)
	}
	if mux == nil {
		return nil, errors.New("set up the plugin protocol: the sdk's server does not show its routes")
	}
	return mux, nil
}

// askOnce lets h serve a single request over a pipe.
func askOnce(h sdk.Handler) error {
	client, server := net.Pipe()
	defer func() { _ = client.Close() }()
	if err := client.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	l := &pipeListener{conn: make(chan net.Conn, 1)}
	l.conn <- server
	close(l.conn)
	if err := h.Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	if _, err := io.WriteString(client, "GET / HTTP/1.1\r\nHost: gangway\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, client)
	return err
}

// pipeListener accepts one connection.
type pipeListener struct{ conn chan net.Conn }

func (l *pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l.conn; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *pipeListener) Close() error { return nil }

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "gangway", Net: "unix"} }
