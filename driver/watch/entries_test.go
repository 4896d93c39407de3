package watch

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestEntries: a port of others that comes to have an address that a bridge of gangway knows for good is told; what bridges learn, what
// they know of gangway's own ports, and whom the host hears is not.
func TestEntries(t *testing.T) {
	// The end of duplicate address detection would be told, too.
	sh(t, "sysctl -qw net.ipv6.conf.default.disable_ipv6=1"+world+`
ip link set gp-a up
ip link add tap9 type veth peer name tap8 && ip link set tap9 master gw-a up && ip link set tap8 up`)
	defer sh(t, "sysctl -qw net.ipv6.conf.default.disable_ipv6=0; ip link del gw-a; ip link del gv-a; ip link del tap9; ip link del theirs; ip link del lent")
	w := start(t)
	untold(t, w, "bridge fdb replace 02:00:00:00:00:09 dev gv-a master static && ip neigh replace 10.9.0.7 lladdr 02:00:00:00:00:07 dev gw-a")
	claim(t, "tap8", 8) // nobody knows it for good
	select {
	case <-w.Changes():
		t.Errorf("told of an address that was learned: %+v", w.Take())
	case <-time.After(quiet):
	}
	claim(t, "tap8", 9)
	select {
	case <-w.Changes():
	case <-time.After(patience):
	}
	if about := w.Take(); !about.Has("gw-a") || about.All || len(about.Links) != 1 {
		t.Errorf("told of %+v, want the bridge", about)
	}
}

// claim sends a frame by a link with a source of that number.
func claim(t *testing.T, link string, number byte) {
	t.Helper()
	l, err := net.InterfaceByName(link)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	frame := make([]byte, 60)
	copy(frame, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, number, 0x88, 0xb5})
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: l.Index}); err != nil {
		t.Fatal(err)
	}
}
