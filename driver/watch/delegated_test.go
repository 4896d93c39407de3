package watch

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// TestDelegated: a prefix that comes, and one that goes, is told as what leads outside.
func TestDelegated(t *testing.T) {
	f := routesTold(t)
	sh(t, "ip link set lo up")
	l, buf := newLinks(nil), make([]byte, bufferSize)
	for _, what := range []string{"add", "del"} {
		sh(t, "ip -6 route "+what+" unreachable 2001:db8:1200::/56 proto dhcp metric 1024")
		if err := f.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		for about := (spec.Scope{}); !about.Outside; {
			n, err := f.Read(buf)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for kind := range messages(buf[:n]) {
				if kind == unix.RTM_NEWROUTE || kind == unix.RTM_DELROUTE {
					about.Join(l.see(buf[:n]))
				}
			}
		}
	}
}

// routesTold is a socket on which the kernel tells of routes, through the filter.
func routesTold(t *testing.T) *os.File {
	t.Helper()
	f, err := listen(unix.NETLINK_ROUTE, routeGroups)
	if err == nil {
		err = attach(f, onlySomeRoutes())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}
