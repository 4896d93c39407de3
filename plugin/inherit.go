package plugin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// turnAwayTime is for how long Close turns connections away.
const turnAwayTime = 10 * time.Millisecond

// Inherit takes the listening socket that a service manager made at path and
// passed to this process (sd_listen_fds(3)). The service manager keeps it: a
// connection that comes while no daemon runs waits for the next one, so neither
// Serve nor Close removes the name.
//
// It refuses what Listen would not have made: more than one socket, another
// kind or place of socket, and one that others than root may connect to. It
// owns the files and closes them.
func Inherit(files []*os.File, path string) (*Socket, error) {
	defer func() {
		for _, f := range files {
			_ = f.Close() // the listener has a descriptor of its own
		}
	}()
	if len(files) != 1 {
		return nil, fmt.Errorf("the service manager passed %d sockets, want one: give its socket unit the single line ListenStream=%s", len(files), path)
	}
	if err := checkInherited(int(files[0].Fd()), path); err != nil {
		return nil, fmt.Errorf("socket passed by the service manager: %w", err)
	}
	l, err := net.FileListener(files[0])
	if err != nil {
		return nil, fmt.Errorf("take the socket %s over from the service manager: %w", path, err)
	}
	s := &Socket{path: path, listener: l.(*net.UnixListener), kept: true}
	s.listener.SetUnlinkOnClose(false)
	return s, nil
}

func checkInherited(fd int, path string) error {
	for _, want := range []struct{ option, value int }{
		{unix.SO_DOMAIN, unix.AF_UNIX}, {unix.SO_TYPE, unix.SOCK_STREAM}, {unix.SO_ACCEPTCONN, 1},
	} {
		if got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, want.option); err != nil || got != want.value {
			return errors.Join(fmt.Errorf("it is no listening unix stream socket: give the socket unit ListenStream=%s, and not Accept=yes", path), err)
		}
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return fmt.Errorf("ask for its name: %w", err)
	}
	if bound := name.(*unix.SockaddrUnix).Name; bound != path {
		return fmt.Errorf("it is %s, but the setting is %s: let ListenStream= in the socket unit and GANGWAY_SOCKET be the same", bound, path)
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return errors.Join(fmt.Errorf("its name %s is gone: systemctl restart gangway.socket makes it again", path), err)
	}
	if mode := st.Mode & 0o777; mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %#o, and who connects to it rules the host's network: give the socket unit SocketMode=0600", path, mode)
	}
	return nil
}

// turnAway ends the connections that wait on a kept socket. Its daemon has
// failed; the next one may fail as well, and an engine that starts would wait
// for ever: it has no time limit of its own, but gives up after some broken
// connections.
func (s *Socket) turnAway() error {
	if err := s.listener.SetDeadline(time.Now().Add(turnAwayTime)); err != nil {
		return err
	}
	for {
		c, err := s.listener.Accept()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		_ = c.Close()
	}
}
