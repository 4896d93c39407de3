package cli

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/cause"
)

// foreign is something that answers HTTP on the daemon's socket in dir.
func foreign(t *testing.T, dir string, answer http.HandlerFunc) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: answer}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
}

// stale leaves a socket behind that nobody listens on.
func stale(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

// fails runs a command that has to fail with all of the words and no output.
func fails(t *testing.T, r result, words ...string) {
	t.Helper()
	// Of status and health that is what is not known.
	want := exitProblem
	if strings.HasPrefix(r.stderr, "gangway status: ") || strings.HasPrefix(r.stderr, "gangway health: ") {
		want = exitUnknown
	}
	if r.code != want || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("got %+v, want exit code %d and one line on stderr", r, want)
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("no %q in %q", w, r.stderr)
		}
	}
}

func TestNoDaemon(t *testing.T) {
	dir := t.TempDir()
	plain, managed := filepath.Join(dir, socketName), filepath.Join(dir, "0123abcd", socketName)
	start := []string{"gangway status: no gangway daemon is running", `"systemctl start gangway"`, `"docker plugin enable gangway"`}

	fails(t, gangway(t, filepath.Join(dir, "nope"), "status"), append(start, filepath.Join(dir, "nope")+" does not exist")...)
	fails(t, gangway(t, dir, "status"), append(start, "there is no gangway.sock in "+dir)...)
	fails(t, gangway(t, dir, "status", "--socket", plain), append(start, plain+" does not exist")...)

	// Sockets of other plugins are none of ours.
	other, err := net.Listen("unix", filepath.Join(dir, "other.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	fails(t, gangway(t, dir, "status"), append(start, "there is no gangway.sock")...)

	stale(t, managed)
	fails(t, gangway(t, dir, "status"), append(start, managed+" is left over")...)
	stale(t, plain)
	fails(t, gangway(t, dir, "status"), append(start, plain+" is left over")...)
	fails(t, gangway(t, dir, "status", "--socket", managed), append(start, managed+" is left over")...)
	compare(t, "no-daemon", transcript(t, dir, "status", "health --json", "networks", "endpoints", "ports", "version", "version --json"))
}

// TestFindsDaemon: the daemon is found wherever it is, past sockets that are
// left over.
func TestFindsDaemon(t *testing.T) {
	for name, path := range map[string]string{
		"plain": socketName, "managed": filepath.Join("0123abcd", socketName),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			stale(t, filepath.Join(dir, "older", socketName))
			if name == "managed" {
				stale(t, filepath.Join(dir, socketName))
			}
			serve(t, filepath.Join(dir, path), busyHost()).Ready()
			if r := gangway(t, dir, "health"); r != (result{stdout: "ok\n"}) {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestTwoDaemons(t *testing.T) {
	dir := t.TempDir()
	plain, managed := filepath.Join(dir, socketName), filepath.Join(dir, "0123abcd", socketName)
	first, second := busyHost(), busyHost()
	second.status.Causes = []cause.Cause{cause.Of(cause.CheckFailed, "this is the second")}
	serve(t, plain, first).Ready()
	serve(t, managed, second).Ready()
	fails(t, gangway(t, dir, "health"), "several daemons answer", plain, managed, "--socket")
	if r := gangway(t, dir, "health", "--socket", plain); r != (result{stdout: "ok\n"}) {
		t.Errorf("first: %+v", r)
	}
	if r := gangway(t, dir, "health", "--socket", managed); r.code != exitFailed || !strings.HasPrefix(r.stdout, "problem: this is the second: ") {
		t.Errorf("second: %+v", r)
	}
}

// asNobody runs f with the file access of a user who is not root.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The file system uid belongs to the thread alone; the lookup stays on it.
	if _, err := unix.SetfsuidRetUid(65534); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := unix.SetfsuidRetUid(0); err != nil {
			t.Fatal(err)
		}
	}()
	f()
}

func TestPermission(t *testing.T) {
	// t.TempDir is below a folder that only its owner may enter.
	top, err := os.MkdirTemp("", "gangway-cli-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	dir := filepath.Join(top, "plugins")
	plain, managed := filepath.Join(dir, socketName), filepath.Join(dir, "0123abcd", socketName)
	stale(t, managed)
	serve(t, plain, busyHost()).Ready()
	mode := func(path string, mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name                 string
		top, folder, managed os.FileMode
		socket               string
		want                 string
	}{
		{"folder", 0o700, 0o755, 0o755, "", "to look for the daemon in " + dir},
		{"folder of a plugin", 0o755, 0o755, 0, "", "to look for the daemon at " + managed},
		{"sockets", 0o755, 0o755, 0o755, "", "on " + dir},
		{"chosen socket", 0o755, 0o755, 0o755, plain, "on " + plain},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mode(plain, 0)
			mode(filepath.Dir(managed), tc.managed)
			mode(dir, tc.folder)
			mode(top, tc.top)
			if os.Geteuid() != 0 && tc.top == 0o700 {
				mode(top, 0)
			}
			defer func() {
				mode(top, 0o755)
				mode(filepath.Dir(managed), 0o755)
				mode(plain, 0o600)
			}()
			args := []string{"status"}
			if tc.socket != "" {
				args = append(args, "--socket", tc.socket)
			}
			var r result
			asNobody(t, func() { r = gangway(t, dir, args...) })
			fails(t, r, "permission denied "+tc.want, "run as root (sudo)")
		})
	}
	if r := gangway(t, dir, "health"); r.code != 0 {
		t.Errorf("as the owner: %+v", r)
	}
}

// TestTimeout asks daemons that are stuck in different places.
func TestTimeout(t *testing.T) {
	i := busyHost()
	i.block = make(chan struct{})
	dir := host(t, i)
	fails(t, gangway(t, dir, "endpoints", "--timeout", "50ms"), "does not answer in time", filepath.Join(dir, socketName), "--timeout")
	close(i.block)
	if r := gangway(t, dir, "endpoints"); r.code != 0 {
		t.Errorf("after it went on: %+v", r)
	}

	// One that accepts nothing: the connection waits in the queue.
	dir = t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, socketName))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fails(t, gangway(t, dir, "status", "--timeout", "50ms"), "does not answer in time")
}

// TestBusyDaemon fills the queue of a daemon that accepts nothing.
func TestBusyDaemon(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, socketName)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.Dial("unix", path)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	fails(t, gangway(t, dir, "status"), "the daemon on "+path+" is too busy to answer")
}

// TestForeign asks what is no gangway, or not this one.
func TestForeign(t *testing.T) {
	answer := func(status int, contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"no such path", answer(404, "text/plain", "404 page not found"), `is not a gangway that knows "networks"`},
		{"a gangway without this path", answer(404, "application/vnd.docker.plugins.v1.1+json", `{"Err":"no such call"}`), `is not a gangway that knows "networks"`},
		{"not JSON", answer(200, "application/json", "hello"), "is not a gangway"},
		{"truncated", answer(200, "application/json", `[{"id":`), "is not a gangway"},
		{"empty", answer(200, "application/json", ""), "is not a gangway"},
		{"another shape", answer(200, "application/json", `{"networks":[]}`), "is of another version"},
		{"bare error", answer(502, "application/json", `{}`), "answers 502 Bad Gateway"},
		{"dies", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "ended before it answered"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			foreign(t, dir, tc.answer)
			fails(t, gangway(t, dir, "networks"), "gangway networks: ", tc.want, filepath.Join(dir, socketName))
		})
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, socketName), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	fails(t, gangway(t, dir, "networks"), "no gangway daemon is running")
}

// TestDeadlineHolds: an answer that begins and never ends is not waited for.
func TestDeadlineHolds(t *testing.T) {
	dir := t.TempDir()
	release := make(chan struct{})
	foreign(t, dir, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "[")
		w.(http.Flusher).Flush()
		<-release
	})
	defer close(release)
	ended := make(chan result, 1)
	go func() { ended <- gangway(t, dir, "networks", "--timeout", "50ms") }()
	select {
	case r := <-ended:
		fails(t, r, "does not answer in time")
	case <-time.After(20 * time.Second):
		t.Fatal("a command waits for an answer that never ends")
	}
}
