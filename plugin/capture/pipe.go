package capture

import (
	"context"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// brokenEvery is how often a pipe without packets is looked at.
const brokenEvery = time.Second

// broken waits until the reader of a pipe has gone, and returns false when ctx ends before,
// or w is no pipe. Without it a capture without packets would not end with its reader.
func broken(ctx context.Context, w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return false
	}
	for ctx.Err() == nil {
		var gone bool
		err = conn.Control(func(fd uintptr) {
			list := []unix.PollFd{{Fd: int32(fd)}} //nolint:gosec // a descriptor
			n, _ := unix.Poll(list, int(brokenEvery.Milliseconds()))
			gone = n > 0 && list[0].Revents&unix.POLLERR != 0
		})
		if gone || err != nil {
			return gone
		}
	}
	return false
}
