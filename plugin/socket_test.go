package plugin

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
)

func socketPath(t *testing.T) string { return filepath.Join(t.TempDir(), "a", "b", "gangway.sock") }

func listen(t *testing.T, path string) *Socket {
	t.Helper()
	s, err := Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestSocketMode watches the name while the socket is made, under a umask that
// would let everybody in.
func TestSocketMode(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "gangway.sock")
	stop, watching := make(chan struct{}), make(chan struct{})
	var seen, wrong atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		close(watching)
		for {
			if info, err := os.Lstat(path); err == nil {
				seen.Add(1)
				if info.Mode() != os.ModeSocket|0o600 {
					wrong.Add(1)
				}
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	<-watching
	for range 50 {
		s := listen(t, path)
		before := seen.Load()
		testkit.Eventually(t, "the watcher sees the socket", func() bool { return seen.Load() > before })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("the socket was seen %d of %d times with another mode than 0600", n, seen.Load())
	}
}

// TestSecondName: the socket is found under the name with the tag, too, for as long as
// the daemon listens; nobody else's file is touched.
func TestSecondName(t *testing.T) {
	path := socketPath(t)
	second := strings.TrimSuffix(path, ".sock") + ":latest.sock"
	s := listen(t, path)
	c, err := net.Dial("unix", second)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(second); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the second name is left: %v", err)
	}
	// What a daemon that was killed left is no obstacle.
	if err := os.Symlink("gangway.sock", second); err != nil {
		t.Fatal(err)
	}
	listen(t, path).Close()
	if err := os.WriteFile(second, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), second) {
		t.Errorf("beside another's file: %v", err)
	}
	for _, file := range []string{path, second} {
		if _, err := os.Lstat(file); (err == nil) != (file == second) {
			t.Errorf("%s: %v", file, err)
		}
	}
	for name, want := range map[string]string{"/a/gw.sock": "/a/gw:latest.sock", "/a/gw:1.sock": "", "/a/gw": "", "/a/.sock": ""} {
		if got := aliasOf(name); got != want {
			t.Errorf("the second name of %s is %q, want %q", name, got, want)
		}
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	listen(t, path)
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestSecondInstanceIsRefused(t *testing.T) {
	path := socketPath(t)
	listen(t, path)
	_, err := Listen(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "another gangway answers on "+path) || !strings.Contains(err.Error(), "process ") {
		t.Fatalf("got %v", err)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first one is gone: %v", err)
	} else {
		c.Close()
	}
}

// TestKilledInstanceLetsGo: the socket of a daemon that was killed may answer for
// a moment longer, and is replaced then.
func TestKilledInstanceLetsGo(t *testing.T) {
	path := socketPath(t)
	killed := listen(t, path)
	go func() {
		c, err := killed.listener.Accept() // the question of the next one
		if err == nil {
			c.Close()
		}
		killed.listener.Close()
	}()
	listen(t, path)
}

// TestRace starts many at once; a stale socket is in their way.
func TestRace(t *testing.T) {
	path := socketPath(t)
	s := listen(t, path)
	s.listener.Close()
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			s, err := Listen(t.Context(), path)
			switch {
			case err == nil:
				won.Add(1)
				t.Cleanup(func() { s.Close() })
			case !strings.Contains(err.Error(), "another gangway"):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d daemons listen", won.Load())
	}
}

func TestForeignFilesStay(t *testing.T) {
	dir := t.TempDir()
	file, link, folder, gram := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "folder"), filepath.Join(dir, "gram")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: gram, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, path := range []string{file, link, folder, gram} {
		if _, err := Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone: %v", path, err)
		}
	}
}

func TestBadSocketPaths(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"gangway.sock":                     "absolute path",
		"":                                 "absolute path",
		"@abstract":                        "absolute path",
		"/tmp/" + strings.Repeat("x", 110): "at most 107 bytes",
		filepath.Join(file, "sub", "s"):    "create folder of socket",
	} {
		if _, err := Listen(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", path, err, want)
		}
	}
}

// TestCloseLeavesOthers: a name that somebody else took meanwhile stays.
func TestCloseLeavesOthers(t *testing.T) {
	path := socketPath(t)
	first := listen(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := listen(t, path)
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the other's socket was removed: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("our own socket stays")
	}
	if err := second.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

// TestCloseWithoutFolder: the engine removes the folder of a plugin that it
// disables.
func TestCloseWithoutFolder(t *testing.T) {
	path := socketPath(t)
	s := listen(t, path)
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestLockHonoursContext(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockFolder(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Listen(ctx, filepath.Join(dir, "s")); err == nil || !strings.Contains(err.Error(), "another daemon holds it") {
		t.Errorf("got %v", err)
	}
	unlock()
	listen(t, filepath.Join(dir, "s"))
}
