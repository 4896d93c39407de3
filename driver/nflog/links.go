package nflog

import (
	"golang.org/x/sys/unix"
)

// linkNames turns indexes of links into names.
type linkNames struct{ fd int }

func newLinkNames() (*linkNames, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	return &linkNames{fd}, err
}

// of is the name of a link; empty if it is gone. One ioctl is less than a message of netlink
// with all that there is to know of a link.
func (l *linkNames) of(index uint32) string {
	req, err := unix.NewIfreq("")
	if err != nil {
		return ""
	}
	req.SetUint32(index)
	if err := unix.IoctlIfreq(l.fd, unix.SIOCGIFNAME, req); err != nil {
		return ""
	}
	return req.Name()
}

func (l *linkNames) close() { _ = unix.Close(l.fd) }
