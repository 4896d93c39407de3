package dockerapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/testkit"
)

// patience is how long something may take that has to happen.
const patience = time.Minute

// portsFunc is what is published.
type portsFunc func(context.Context) ([]driver.PortStatus, error)

// ourEndpoints are Gangway's.
func ourEndpoints(context.Context) (map[string]bool, error) {
	return map[string]bool{"ep1": true, "ep2": true, "ep4": true}, nil
}

func noPorts(context.Context) ([]driver.PortStatus, error) { return nil, nil }

// host is a socket with us on it, and an engine whose connections the test serves.
type host struct {
	socket string
	engine *net.UnixListener
}

func serve(t *testing.T, ports portsFunc, log *logrus.Entry) *host {
	t.Helper()
	dir := t.TempDir()
	h := &host{socket: filepath.Join(dir, "gangway.sock")}
	engine := filepath.Join(dir, "engine.sock")
	var err error
	if h.engine, err = net.ListenUnix("unix", &net.UnixAddr{Name: engine, Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	s, err := Listen(t.Context(), h.socket, "root", engine)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Serve(ctx, s, Options{Engine: engine, Ports: ports, Endpoints: ourEndpoints, Log: log})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("end of Serve: %v", err)
		}
		if _, err := os.Lstat(h.socket); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket is left: %v", err)
		}
		h.engine.Close()
	})
	return h
}

// end is one end of a joined connection: the client's, or the engine's.
type end struct {
	*net.UnixConn
	t    *testing.T
	name string
}

// dial connects a client, and returns it with its connection at the engine.
func (h *host) dial(t *testing.T) (client, engine end) {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: h.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	e, err := h.engine.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		e.Close()
	})
	for _, conn := range []*net.UnixConn{c, e} {
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	return end{c, t, "client"}, end{e, t, "engine"}
}

func join2(t *testing.T) (client, engine end) {
	t.Helper()
	return serve(t, noPorts, testkit.Quiet()).dial(t)
}

func (e end) say(text string) {
	e.t.Helper()
	if _, err := io.WriteString(e, text); err != nil {
		e.t.Fatalf("%s cannot say %.60q: %v", e.name, text, err)
	}
}

// hear reads as many bytes as there are in text, which must be these.
func (e end) hear(text string) {
	e.t.Helper()
	got := make([]byte, len(text))
	n, err := io.ReadFull(e, got)
	if err != nil || string(got) != text {
		e.t.Fatalf("%s hears\n%q, %v\nwant\n%q", e.name, got[:n], err, text)
	}
}

// hearEnd reads the end, before which nothing more must come.
func (e end) hearEnd() {
	e.t.Helper()
	got, err := io.ReadAll(e)
	if err != nil || len(got) > 0 {
		e.t.Fatalf("%s hears %q, %v instead of the end", e.name, got, err)
	}
}

func (e end) closeWrite() {
	e.t.Helper()
	if err := e.CloseWrite(); err != nil {
		e.t.Fatal(err)
	}
}

// through says something at one end, which must come out at the other as it is, before
// anything else happens.
func through(from, to end, texts ...string) {
	from.t.Helper()
	for _, text := range texts {
		from.say(text)
		to.hear(text)
	}
}

// http1 ends lines as HTTP does: those of a head, or of anything.
func http1(text string) string {
	return strings.ReplaceAll(text, "\n", "\r\n")
}

// pattern is a body that cannot be mistaken when a part is missing or doubled.
func pattern(size int) []byte {
	b := bytes.NewBuffer(make([]byte, 0, size+16))
	for i := 0; b.Len() < size; i += 7 {
		b.WriteString("line ")
		b.WriteString(strings.Repeat("0123456789", i%5))
		b.WriteByte(byte(i))
	}
	return b.Bytes()[:size]
}
