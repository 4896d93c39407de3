package plugin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// manager makes the socket that a service manager would, and returns what it
// keeps of it.
func manager(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return l
}

// passed is the descriptor that a daemon gets of a socket.
func passed(t *testing.T, l interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestInheritedSocketStays: who connects between two daemons is answered by the
// second one.
func TestInheritedSocketStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gangway.sock")
	l := manager(t, path)
	client := testkit.UnixClient(path, testkit.Patience)
	defer client.CloseIdleConnections()
	answer := make(chan error, 1)
	for _, between := range []bool{false, true} {
		if between {
			go func() { answer <- activate(client) }()
		}
		sock, err := Inherit([]*os.File{passed(t, l)}, path)
		if err != nil {
			t.Fatal(err)
		}
		s, _, _ := newServer(t, nil)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(ctx, sock) }()
		if !between {
			go func() { answer <- activate(client) }()
		}
		if err := <-answer; err != nil {
			t.Errorf("between two daemons %t: %v", between, err)
		}
		client.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("the service manager's socket is gone: %v", err)
		}
	}
}

func activate(client *http.Client) error {
	r, err := client.Post("http://gangway/Plugin.Activate", "", http.NoBody)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return errors.New(r.Status)
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// TestFailedDaemonTurnsAway: nobody waits for ever for a daemon that cannot
// start; the next one is not concerned.
func TestFailedDaemonTurnsAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gangway.sock")
	l := manager(t, path)
	waiting := dialUnix(t, path)
	sock, err := Inherit([]*os.File{passed(t, l)}, path)
	if err != nil {
		t.Fatal(err)
	}
	if err := sock.Close(); err != nil {
		t.Error(err)
	}
	if n, err := waiting.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("who waited is still connected: %v", err)
	}
	if err := sock.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	dialUnix(t, path)
	if _, err := l.Accept(); err != nil {
		t.Errorf("the service manager's socket does not listen any more: %v", err)
	}
}

// dialUnix connects; reading from the connection takes no longer than Patience.
func dialUnix(t *testing.T, path string) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{Timeout: testkit.Patience}).Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestInheritRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gangway.sock")
	good := manager(t, path)
	other := manager(t, filepath.Join(dir, "other.sock"))
	open := manager(t, filepath.Join(dir, "open.sock"))
	if err := os.Chmod(filepath.Join(dir, "open.sock"), 0o666); err != nil {
		t.Fatal(err)
	}
	gone := manager(t, filepath.Join(dir, "gone.sock"))
	if err := os.Remove(filepath.Join(dir, "gone.sock")); err != nil {
		t.Fatal(err)
	}
	gram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "gram.sock"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer gram.Close()
	inet, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer inet.Close()
	accepted := dialUnix(t, path).(*net.UnixConn)
	file, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		files []*os.File
		path  string
		want  string
	}{
		"none":                {nil, path, "passed 0 sockets, want one"},
		"two":                 {[]*os.File{passed(t, good), passed(t, other)}, path, "passed 2 sockets, want one"},
		"at another place":    {[]*os.File{passed(t, other)}, path, "it is " + dir + "/other.sock, but the setting is " + path},
		"for everybody":       {[]*os.File{passed(t, open)}, dir + "/open.sock", "mode 0666"},
		"without a name":      {[]*os.File{passed(t, gone)}, dir + "/gone.sock", "its name " + dir + "/gone.sock is gone"},
		"of datagrams":        {[]*os.File{passed(t, gram)}, dir + "/gram.sock", "no listening unix stream socket"},
		"of the network":      {[]*os.File{passed(t, inet)}, path, "no listening unix stream socket"},
		"an open connection":  {[]*os.File{passed(t, accepted)}, path, "not Accept=yes"},
		"not a socket at all": {[]*os.File{file}, path, syscall.ENOTSOCK.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Inherit(c.files, c.path); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			for _, f := range c.files {
				if err := f.Close(); !errors.Is(err, os.ErrClosed) {
					t.Errorf("a file stays open: %v", err)
				}
			}
		})
	}
}
