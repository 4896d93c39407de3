package dockerapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// socketMode is the one that the engine's own socket has: who may use it rules
	// the host.
	socketMode = 0o660
	// probeTime bounds the question whether somebody answers on a socket.
	probeTime = 2 * time.Second
)

// Socket is a unix socket that listens. Root and one group may connect, from the
// moment its name exists.
type Socket struct {
	path     string
	listener *net.UnixListener
	// dev and inode tell our socket from one that took its name.
	dev, inode uint64
}

// Listen makes the socket, for root and a group. Its folder is created. A socket of
// an earlier run is replaced; everything else that has the name is an error, and so is
// the engine's own socket.
func Listen(ctx context.Context, path, group, engine string) (*Socket, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("socket %q: want an absolute path", path)
	}
	if same(path, engine) {
		return nil, fmt.Errorf("socket %s is the engine's own: choose another", path)
	}
	gid, err := groupID(group)
	if err != nil {
		return nil, err
	}
	if err = prepareFolder(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("folder of socket %s: %w", path, err)
	}
	unlock, err := lockFolder(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("lock folder of socket %s: %w", path, err)
	}
	defer unlock()
	if err = clearName(ctx, path); err != nil {
		return nil, err
	}
	return bind(ctx, path, gid)
}

// same says whether two names are of one file, whether it exists or not.
func same(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	of, errA := os.Stat(a)
	with, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(of, with)
}

func groupID(name string) (int, error) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("group of the socket: %w; create it, or choose another with --group", err)
	}
	return strconv.Atoi(g.Gid)
}

// prepareFolder makes sure that nobody but its owner can change names in the folder:
// clients send all they have to whoever listens there.
func prepareFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return err
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, who could put a socket of their own there: choose a folder of root", dir, st.Uid)
	}
	if st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return fmt.Errorf("others may write to %s, and could put a socket of their own there: choose a folder of root", dir)
	}
	return nil
}

// lockFolder keeps two that start apart. It locks the folder itself, so that nothing is
// left behind.
func lockFolder(dir string) (unlock func(), err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("somebody else starts there, try again: %w", err), unix.Close(fd))
	}
	return func() { _ = unix.Close(fd) }, nil
}

// clearName makes sure that the name is free. Only a socket of our own user on which
// nobody answers is removed.
func clearName(ctx context.Context, path string) error {
	var st unix.Stat_t
	switch err := unix.Lstat(path, &st); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("inspect socket %s: %w", path, err)
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return fmt.Errorf("%s exists and is not a socket: remove it or choose another socket", path)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s exists and belongs to user %d: remove it or choose another socket", path, st.Uid)
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("somebody answers on %s already: stop it first, or choose another socket", path), c.Close())
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("probe socket %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}

// bind listens on a name that is free.
func bind(ctx context.Context, path string, gid int) (*Socket, error) {
	l, err := listenAs(ctx, path, gid)
	if err != nil {
		return nil, fmt.Errorf("listen on socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	s := &Socket{path: path, listener: l}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil, errors.Join(fmt.Errorf("inspect socket %s: %w", path, err), l.Close())
	}
	s.dev, s.inode = st.Dev, st.Ino
	if mode := st.Mode & 0o777; mode != socketMode || int(st.Gid) != gid {
		return nil, errors.Join(fmt.Errorf("socket %s got mode %#o and group %d instead of %#o and %d", path, mode, st.Gid, socketMode, gid), s.Close())
	}
	return s, nil
}

// listenAs binds and listens on a thread that has a umask and a group of its own, which
// end with it: the file has them from its beginning, and what others create meanwhile
// has not. A chown or chmod afterwards would leave a gap, in which the name may be
// somebody else's.
func listenAs(ctx context.Context, path string, gid int) (*net.UnixListener, error) {
	type result struct {
		l   net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		var r result
		if r.err = unix.Unshare(unix.CLONE_FS); r.err == nil {
			unix.Umask(0o777 &^ socketMode)
			if _, r.err = unix.SetfsgidRetGid(gid); r.err == nil {
				r.l, r.err = new(net.ListenConfig).Listen(ctx, "unix", path)
			}
		}
		done <- r
	}()
	r := <-done
	if r.err != nil {
		return nil, r.err
	}
	return r.l.(*net.UnixListener), nil
}

// Close removes the socket's name, if it is still ours, and stops listening. The
// listener must be open still: only that keeps the inode number from being used again.
func (s *Socket) Close() error {
	var removeErr error
	var st unix.Stat_t
	if err := unix.Lstat(s.path, &st); err == nil && st.Dev == s.dev && st.Ino == s.inode {
		if err = os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			removeErr = fmt.Errorf("remove socket: %w", err)
		}
	}
	return errors.Join(removeErr, s.listener.Close())
}
