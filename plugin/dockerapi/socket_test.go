package dockerapi

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const noEngine = "/run/nowhere/docker.sock"

// TestSocketRights: the socket is root's and the group's from its beginning, whatever the
// umask, and that of others stays.
func TestSocketRights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "docker.sock")
	old := unix.Umask(0o022)
	defer unix.Umask(old)
	s, err := Listen(t.Context(), path, "daemon", noEngine)
	if err != nil {
		t.Fatal(err)
	}
	if got := unix.Umask(0o022); got != 0o022 {
		t.Errorf("the umask has become %#o", got)
	}
	gid, err := groupID("daemon")
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Mode != unix.S_IFSOCK|0o660 || st.Uid != 0 || int(st.Gid) != gid {
		t.Errorf("mode %#o, user %d, group %d, %v", st.Mode, st.Uid, st.Gid, err)
	}
	other := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(other, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := unix.Lstat(other, &st); err != nil || st.Mode&0o777 != 0o644 || st.Gid != 0 {
		t.Errorf("another file has mode %#o and group %d, %v", st.Mode&0o777, st.Gid, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// left makes a socket on which nobody listens.
func left(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

// TestSocketRefused: what has the name and is none of ours stays, and is an error.
func TestSocketRefused(t *testing.T) {
	for _, c := range []struct {
		name, want string
		engine     string
		group      string
		prepare    func(path string) error
	}{
		{name: "symlink", want: "is not a socket", prepare: func(path string) error {
			left(t, path+".other")
			return os.Symlink(path+".other", path)
		}},
		{name: "symlink to nothing", want: "is not a socket", prepare: func(path string) error { return os.Symlink("/nowhere", path) }},
		{name: "file", want: "is not a socket", prepare: func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }},
		{name: "folder", want: "is not a socket", prepare: func(path string) error { return os.Mkdir(path, 0o700) }},
		{name: "socket of another user", want: "belongs to user 65534", prepare: func(path string) error {
			left(t, path)
			return os.Chown(path, 65534, 0)
		}},
		{name: "folder of another user", want: "belongs to user 65534", prepare: func(path string) error { return os.Chown(filepath.Dir(path), 65534, 0) }},
		{name: "folder that others may write to", want: "others may write", prepare: func(path string) error { return os.Chmod(filepath.Dir(path), 0o777) }},
		{name: "group", want: "--group", group: "no-such-group"},
		{name: "engine's socket", want: "the engine's own", engine: "same", prepare: func(path string) error {
			left(t, path)
			return os.Symlink(path, filepath.Join(filepath.Dir(path), "same"))
		}},
		{name: "engine's socket that is gone", want: "the engine's own", engine: "docker.sock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "docker.sock")
			if c.prepare != nil {
				if err := c.prepare(path); err != nil {
					t.Fatal(err)
				}
			}
			before, beforeErr := os.Lstat(path)
			group, engine := "root", noEngine
			if c.group != "" {
				group = c.group
			}
			if c.engine != "" {
				engine = filepath.Join(filepath.Dir(path), c.engine)
			}
			s, err := Listen(t.Context(), path, group, engine)
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			after, afterErr := os.Lstat(path)
			if (beforeErr == nil) != (afterErr == nil) || beforeErr == nil && !os.SameFile(before, after) {
				t.Errorf("what was there is not any more: %v", afterErr)
			}
		})
	}
}

// TestSocketAgain: a socket of one that was killed is replaced, one that answers is not,
// and one that was taken over stays.
func TestSocketAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "docker.sock")
	left(t, path)
	s, err := Listen(t.Context(), path, "root", noEngine)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Listen(t.Context(), path, "root", noEngine); err == nil || !strings.Contains(err.Error(), "answers") {
		t.Errorf("%v, %v", again, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	left(t, path)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of somebody else is gone: %v", err)
	}
}
