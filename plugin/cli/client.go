package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

const (
	// probeTime bounds the question whether somebody answers on a socket.
	probeTime = 2 * time.Second
	// maxAnswer bounds an answer; an endpoint takes some 500 bytes of it.
	maxAnswer = 256 << 20
)

// howToStart is the next step when there is no daemon.
const howToStart = "start it with \"systemctl start gangway\", or enable the managed plugin with \"docker plugin enable gangway\""

// daemon is a daemon that answers.
type daemon struct {
	socket string
	client *http.Client
}

// findDaemon returns the daemon on socket or, without one, the only one that
// answers in dir.
func findDaemon(ctx context.Context, dir, socket string) (*daemon, error) {
	if socket != "" {
		if err := probe(ctx, socket); err != nil {
			return nil, explainProbe(socket, err)
		}
		return newDaemon(socket), nil
	}
	candidates, err := sockets(dir)
	if err != nil {
		return nil, err
	}
	var live []string
	var failure error
	for _, path := range candidates {
		switch err := probe(ctx, path); {
		case err == nil:
			live = append(live, path)
		case failure == nil || errors.Is(err, fs.ErrPermission):
			failure = explainProbe(path, err)
		}
	}
	switch {
	case len(live) == 1:
		return newDaemon(live[0]), nil
	case len(live) > 1:
		return nil, fmt.Errorf("several daemons answer, on %s: choose one with --socket", strings.Join(live, " and "))
	case failure != nil:
		return nil, failure
	}
	return nil, fmt.Errorf("no gangway daemon is running: there is no %s in %s or in a plugin's folder there; %s", socketName, dir, howToStart)
}

// sockets lists where a daemon may be: the plain daemon's socket first, then
// those of managed plugins.
func sockets(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("permission denied to look for the daemon in %s: run as root (sudo)", dir)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no gangway daemon is running: %s does not exist; %s", dir, howToStart)
	case err != nil:
		return nil, fmt.Errorf("look for the daemon: %w", err)
	}
	paths := []string{filepath.Join(dir, socketName)}
	for _, e := range entries {
		if e.IsDir() {
			paths = append(paths, filepath.Join(dir, e.Name(), socketName))
		}
	}
	var found []string
	for _, path := range paths {
		_, err := os.Lstat(path)
		switch {
		case err == nil:
			found = append(found, path)
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("permission denied to look for the daemon at %s: run as root (sudo)", path)
		}
	}
	return found, nil
}

// probe says whether somebody accepts connections.
func probe(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return c.Close()
}

// pid is the daemon's process, as the kernel tells of who listens (SO_PEERCRED, unix(7)).
func (d *daemon) pid(ctx context.Context) (int, error) {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unix", d.socket)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	unixConn, ok := c.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("%s is no unix socket", d.socket)
	}
	raw, err := unixConn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err = raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) //nolint:gosec // a descriptor
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, credErr
	}
	return int(cred.Pid), nil
}

// explainProbe says why nobody answers on path, and what to do.
func explainProbe(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("permission denied on %s: run as root (sudo)", path)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no gangway daemon is running: %s does not exist; %s", path, howToStart)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no gangway daemon is running: %s is left over from one that ended; %s", path, howToStart)
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the daemon on %s is too busy to answer: look at its log and restart it if this goes on", path)
	}
	return fmt.Errorf("cannot reach the daemon: %w", err)
}

func newDaemon(socket string) *daemon {
	return &daemon{socket: socket, client: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// ask returns the daemon's answer on a path of the admin API. An answer with an
// error status is an error, except that of health.
func (d *daemon) ask(ctx context.Context, name string) (json.RawMessage, error) {
	return d.call(ctx, http.MethodGet, name, nil)
}

// call is ask by any method, with a value as the body unless it is nil.
func (d *daemon) call(ctx context.Context, method, name string, value any) (json.RawMessage, error) {
	var text io.Reader
	if value != nil {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		text = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://gangway"+plugin.AdminPath+name, text)
	if err != nil {
		return nil, err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return nil, d.explain(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, d.explain(err)
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") || !json.Valid(body) {
		return nil, fmt.Errorf("what answers on %s is not a gangway that knows %q: check the socket, or upgrade the daemon", d.socket, name)
	}
	if resp.StatusCode != http.StatusOK && name != "health" {
		var e plugin.ErrorBody
		if json.Unmarshal(body, &e) != nil || e.Error == "" {
			return nil, fmt.Errorf("the daemon on %s answers %s", d.socket, resp.Status)
		}
		if resp.StatusCode == http.StatusNotFound {
			return nil, &notFoundError{e.Error}
		}
		return nil, errors.New(e.Error)
	}
	return body, nil
}

// stream hands the lines of an answer, each a JSON value, to take until ctx ends, which is no
// error, or take fails.
func (d *daemon) stream(ctx context.Context, name string, take func(json.RawMessage) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gangway"+plugin.AdminPath+name, nil)
	if err != nil {
		return err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return untilEnd(ctx, d.explain(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		var e plugin.ErrorBody
		if json.Unmarshal(body, &e) != nil || e.Error == "" {
			return fmt.Errorf("what answers on %s is not a gangway that knows %q: check the socket, or upgrade the daemon", d.socket, name)
		}
		return errors.New(e.Error)
	}
	lines := json.NewDecoder(resp.Body)
	for {
		var line json.RawMessage
		err = lines.Decode(&line)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("the daemon on %s ends: run the command again when it is back", d.socket)
		}
		if err != nil {
			return untilEnd(ctx, err)
		}
		if err = take(line); err != nil {
			return err
		}
	}
}

// streamToEnd is stream, but the end of ctx asks the daemon to come to an end as well: what it says then is
// handed to take too, for so long.
func (d *daemon) streamToEnd(ctx context.Context, name string, limit time.Duration, take func(json.RawMessage) error) error {
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(limit, cancel) })()
	// Who sends no more can still be answered, and is gone as far as the daemon sees.
	var conn net.Conn
	asked := &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { conn = info.Conn },
		WroteRequest: func(httptrace.WroteRequestInfo) {
			context.AfterFunc(ctx, func() {
				if half, ok := conn.(*net.UnixConn); !ok || half.CloseWrite() != nil {
					cancel()
				}
			})
		},
	}
	return d.stream(httptrace.WithClientTrace(whole, asked), name, take)
}

// untilEnd is no error after ctx has ended.
func untilEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *daemon) explain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the daemon on %s does not answer in time: look at its log, or wait longer with --timeout", d.socket)
	}
	// Under the request's made-up address is what really happened.
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("the daemon on %s ended before it answered: look at its log", d.socket)
	}
	return fmt.Errorf("ask the daemon on %s: %w", d.socket, err)
}

// send asks by a method, decodes the answer into v, and returns it as it came.
func (q query) send(ctx context.Context, method, name string, body, v any) (json.RawMessage, error) {
	d, err := q.find(ctx)
	if err != nil {
		return nil, err
	}
	raw, err := d.call(ctx, method, name, body)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, fmt.Errorf("the daemon on %s is of another version: %w", d.socket, err)
	}
	return raw, nil
}

// answer asks for name and decodes the answer into v. It returns true if the
// answer was printed as JSON and nothing is left to do.
func (q query) answer(ctx context.Context, name string, v any) (printed bool, err error) {
	d, err := q.find(ctx)
	if err != nil {
		return false, err
	}
	raw, err := d.ask(ctx, name)
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("the daemon on %s is of another version: %w", d.socket, err)
	}
	if !q.json {
		return false, nil
	}
	return true, q.printJSON(raw)
}

// printJSON writes raw with indents. Fields that this build does not know stay.
func (q query) printJSON(raw json.RawMessage) error {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(raw), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := q.out.Write([]byte(printable.JSON(b.String())))
	return err
}
