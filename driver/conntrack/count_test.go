package conntrack_test

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/nstest"
)

// TestUse: the numbers are those that the kernel shows elsewhere.
func TestUse(t *testing.T) {
	nstest.Do(t, func() {
		table := open(t)
		defer table.Close()
		a := netip.MustParseAddr("10.7.0.2")
		for i := range 7 {
			insert(t, flow{17, a.String() + ":4000", "8.8.8.8:53", "8.8.8.8:53", "192.0.2.1:" + fmt.Sprint(10000+i)})
			a = a.Next()
		}
		// A packet of the kernel's own may come between.
		before := setting(t, "nf_conntrack_count")
		u, err := table.Use()
		if err != nil {
			t.Error(err)
		}
		after := setting(t, "nf_conntrack_count")
		if u.Flows < 7 || u.Flows < min(before, after) || u.Flows > max(before, after) || u.Limit != setting(t, "nf_conntrack_max") {
			t.Errorf("got %+v, the kernel says %d flows of %d", u, after, setting(t, "nf_conntrack_max"))
		}
	})
}

// setting reads one of the calling thread's namespace.
func setting(t *testing.T, name string) uint32 {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/root/proc/sys/net/netfilter/" + name)
	if err != nil {
		t.Error(err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		t.Error(err)
	}
	return uint32(n)
}
