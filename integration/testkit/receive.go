package testkit

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Receive is recvfrom(2) that goes on after a signal. The kernel does not begin it again
// by itself where the socket has a timeout (signal(7)), and the runtime of Go sends
// itself signals. The timeout begins anew then.
func Receive(fd int, buf []byte) (n int, from unix.Sockaddr, err error) {
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		n, from, err = unix.Recvfrom(fd, buf, 0)
	}
	return n, from, err
}
