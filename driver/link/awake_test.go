package link_test

import (
	"context"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// TestAwake: a link is up as long as somebody asks on its LAN, and as it was after that.
func TestAwake(t *testing.T) {
	uplinked(t, func(f fixture, b spec.Bridge, p spec.LANPort) {
		isUp := func() bool {
			return strings.Contains(f.sh("ip -o link show eth1"), ",UP")
		}
		release, err := f.Awake(context.Background(), "eth1")
		f.ok(err)
		f.same(true, isUp())
		again, err := f.Awake(context.Background(), "eth1")
		f.ok(err)
		again()
		f.same(true, isUp())
		release()
		f.same(false, isUp())
		// A network that has taken the link keeps it up.
		release, err = f.Awake(context.Background(), "eth1")
		f.ok(err)
		f.ensurePort(p, joined)
		release()
		f.same(true, isUp())
		for name, want := range map[string]string{"eth9": "no link of that name", "lo": "loopback"} {
			if _, err = f.Awake(context.Background(), name); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
