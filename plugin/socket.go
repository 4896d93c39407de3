package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxSocketPath is what fits into sockaddr_un beside the final zero.
	maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1
	// probeTime bounds the question whether somebody answers on a socket.
	probeTime = 2 * time.Second
	// lockTime bounds the wait for another daemon that starts or ends; it holds
	// the lock for as long as a probe takes.
	lockTime = 2 * probeTime
	// releaseTime is how long a socket may go on to answer whose daemon was
	// killed: a command that it was about to start has it open until it runs.
	releaseTime = 2 * time.Second
)

// errAnswers says that somebody listens on a socket.
var errAnswers = errors.New("another gangway answers")

// Socket is the listening unix socket of the daemon. Nobody but root may
// connect to it, from the moment its name exists.
type Socket struct {
	path     string
	listener *net.UnixListener
	// dev and inode tell our socket from one that took its name.
	dev, inode uint64
	// kept says that a service manager made the socket and keeps it.
	kept bool
}

// Listen makes the socket. Its folder is created. A socket that nobody answers
// on is replaced, also if its daemon takes a moment to end; one that is in use, or
// another kind of file, is an error. Connections queue up from now on, so this can
// come before everything else.
func Listen(ctx context.Context, path string) (*Socket, error) {
	if !filepath.IsAbs(path) || len(path) > maxSocketPath {
		return nil, fmt.Errorf("socket %q: want an absolute path of at most %d bytes", path, maxSocketPath)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("create folder of socket %s: %w", path, err)
	}
	patience := time.After(releaseTime)
	for {
		s, err := tryListen(ctx, path)
		if !errors.Is(err, errAnswers) {
			return s, err
		}
		select {
		case <-patience:
			return nil, err
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(releaseTime / 100):
		}
	}
}

// tryListen is one try of Listen.
func tryListen(ctx context.Context, path string) (*Socket, error) {
	unlock, err := lockFolder(ctx, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("lock folder of socket %s: %w", path, err)
	}
	defer unlock()
	if err = clearName(ctx, path); err != nil {
		return nil, err
	}
	s, err := bind(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := makeAlias(path); err != nil {
		// Not Close, which takes the folder's lock.
		return nil, errors.Join(err, os.Remove(path), s.listener.Close())
	}
	return s, nil
}

// Close removes the socket's name, if it is still ours, and stops listening.
// Who waits for an answer is turned away. Serve does so by itself at its end,
// besides that an orderly end leaves those who wait at a service manager's
// socket to the next daemon.
func (s *Socket) Close() error {
	err := s.remove()
	if s.kept {
		if waitErr := s.turnAway(); !errors.Is(waitErr, net.ErrClosed) {
			err = errors.Join(err, waitErr)
		}
	}
	if closeErr := s.listener.Close(); !errors.Is(closeErr, net.ErrClosed) {
		err = errors.Join(err, closeErr)
	}
	return err
}

// remove takes the name away unless somebody else's socket has it. The
// listener must be open still: only that keeps the inode number from being
// used again.
func (s *Socket) remove() error {
	if s.kept {
		return nil
	}
	unlock, err := lockFolder(context.Background(), filepath.Dir(s.path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// The engine removes the folder of a plugin that it disables.
		return nil
	case err != nil:
		return fmt.Errorf("remove socket %s: %w", s.path, err)
	}
	defer unlock()
	var st unix.Stat_t
	if err := unix.Lstat(s.path, &st); err != nil || st.Dev != s.dev || st.Ino != s.inode {
		return nil
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove socket: %w", err)
	}
	return removeAlias(s.path)
}

// bind listens on a name that is free. The mode is set on the socket before it
// gets its name, which gives the file that mode (Linux, unix_bind_bsd); a
// umask would change what other goroutines create meanwhile, and a chmod
// afterwards would leave a gap.
func bind(ctx context.Context, path string) (*Socket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmodErr error
		err := c.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmodErr)
	}}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on socket: %w", err)
	}
	s := &Socket{path: path, listener: l.(*net.UnixListener)}
	s.listener.SetUnlinkOnClose(false)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return nil, errors.Join(fmt.Errorf("inspect socket %s: %w", path, err), l.Close())
	}
	s.dev, s.inode = st.Dev, st.Ino
	if mode := st.Mode & 0o777; mode != 0o600 {
		// Not Close, which takes the folder's lock that our caller holds.
		return nil, errors.Join(fmt.Errorf("socket %s got mode %#o instead of 0600", path, mode), os.Remove(path), l.Close())
	}
	return s, nil
}

// clearName makes sure that the name is free. The caller holds the folder's
// lock, so nobody binds between the probe and our own bind.
func clearName(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("inspect socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket (%s): remove it or choose another socket", path, info.Mode().Type())
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		who := peerName(c)
		_ = c.Close()
		return fmt.Errorf("%w on %s (%s): stop it first, or choose another socket", errAnswers, path, who)
	case errors.Is(err, syscall.ECONNREFUSED):
		if err = os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove stale socket: %w", err)
		}
		return nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("another gangway listens on %s and is too busy to answer: stop it first, or choose another socket", path)
	}
	return fmt.Errorf("probe socket %s: %w", path, err)
}

// peerName says which process is at the other end.
func peerName(c net.Conn) string {
	raw, err := c.(*net.UnixConn).SyscallConn()
	if err != nil {
		return "unknown process"
	}
	var cred *unix.Ucred
	_ = raw.Control(func(fd uintptr) { cred, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if cred == nil || cred.Pid == 0 {
		// It lives in a pid namespace that is not below ours.
		return "a process of another container"
	}
	if cred.Pid == 1 {
		// It called listen for a daemon that it starts.
		return "the service manager holds it: systemctl stop gangway.socket gangway.service"
	}
	return fmt.Sprintf("process %d", cred.Pid)
}

// lockFolder serialises daemons that start and end on sockets of one folder. It
// locks the folder itself, so nothing is left behind and the engine, which
// looks for plugins there, sees no further file.
func lockFolder(ctx context.Context, dir string) (unlock func(), err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = unix.Close(fd) }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, unix.Close(fd))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("another daemon holds it: %w", ctx.Err()), unix.Close(fd))
		}
	}
}
