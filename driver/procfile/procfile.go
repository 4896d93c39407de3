// Package procfile reads the kernel's small files below /proc and /sys.
//
// os.ReadFile asks for the size of what it opens and tries to have the poller wait for it:
// that is twice the calls, and these files are read with each change of a network.
package procfile

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// first is how many bytes the first read asks for: nearly all of these files have fewer.
const first = 512

// Read returns what is in a file. Errors are *fs.PathError, as those of os.ReadFile.
func Read(name string) ([]byte, error) {
	fd, err := retry(func() (int, error) { return unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	data := make([]byte, 0, first)
	for {
		n, err := retry(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: name, Err: err}
		}
		if n == 0 {
			return data, nil
		}
		data = data[:len(data)+n]
		if len(data) == cap(data) {
			data = append(data, make([]byte, len(data))...)[:len(data)]
		}
	}
}

// retry calls again what a signal has interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR { //nolint:errorlint // as the system call returns it
			return n, err
		}
	}
}
