package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// wake keeps Gangway from starting an engine that somebody has stopped. Where systemd
// holds the engine's socket (docker.socket), whoever connects starts the engine, and a
// connection that waits there while the engine stops starts it again.
//
// So who was connected connects again only when the engine has certainly been started
// since: its pid file is another. An engine that holds its socket itself can be asked any
// time. Calls of the engine are no sign of that: it makes them while it stops.
type wake struct {
	socket string

	mu sync.Mutex // guards the rest
	// held says that the socket was, or may have been, held by somebody else than the
	// engine when its events were asked for last; file is what the pid file was then.
	held bool
	file string
	// over says that the engine has ended since.
	over bool
	// first says that no connection was made for events yet.
	first bool
}

// begin allows one connection for events.
func (w *wake) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first = true
}

// errStopped says why an engine is not asked.
var errStopped = errors.New("the engine was stopped, and a question would start it")

// dial connects, unless that would start a stopped engine.
func (w *wake) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if !w.safe() {
		return nil, errStopped
	}
	return new(net.Dialer).DialContext(ctx, "unix", w.socket)
}

// listen connects for the events, once, and notes who holds the socket.
func (w *wake) listen(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	first := w.first
	w.first = false
	w.mu.Unlock()
	if !first {
		return nil, io.EOF
	}
	file := w.pidFile()
	conn, err := w.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held, w.file, w.over = heldByAnother(conn), file, false
	return conn, nil
}

// heldByAnother says whether process 1 called listen for the engine. In a managed
// plugin all processes of the host are 0, so it may be so there.
func heldByAnother(conn net.Conn) bool {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return true
	}
	var cred *unix.Ucred
	err = raw.Control(func(fd uintptr) { cred, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return err != nil || cred == nil || cred.Pid <= 1
}

// safe says whether connecting starts no engine that somebody has stopped.
func (w *wake) safe() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.held || !w.over {
		return true
	}
	now := w.pidFile()
	return now != "" && now != w.file
}

// ended says that the engine has ended its events.
func (w *wake) ended() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
}

// pidFile tells one start of the engine from another, "" if that cannot be told. The file
// is beside the socket: /run/docker.pid.
func (w *wake) pidFile() string {
	name, ok := strings.CutSuffix(w.socket, ".sock")
	if !ok {
		return ""
	}
	info, err := os.Stat(name + ".pid")
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.ModTime().UnixNano())
}
