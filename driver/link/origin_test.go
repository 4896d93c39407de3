package link_test

import (
	"context"
	"net"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// Whose a link is stays known when it is renamed, or leaves the interface group, and
// of what is on top of it.
func TestOrigin(t *testing.T) {
	inside(t, func(f fixture) {
		origin := func(name string) spec.Origin {
			t.Helper()
			l, err := net.InterfaceByName(name)
			if err != nil {
				t.Error(err)
				return spec.Origin{}
			}
			o, err := f.Origin(context.Background(), l.Index)
			f.ok(err)
			return o
		}
		b := spec.Bridge{Name: "gw-0", NetworkID: netID}
		f.ensure(b, "bridge gw-0 was missing: created")
		f.sh("ip link add br0 type bridge")
		_, err := f.EnsureBridge(context.Background(), spec.Bridge{Name: "br0", NetworkID: otherID, Adopted: true})
		f.ok(err)
		f.sh("ip link add theirs type bridge")
		f.sh("ip link add link gw-0 name top type macvlan")
		want := func(name string, o spec.Origin) {
			t.Helper()
			if got := origin(name); got != o {
				t.Errorf("%s: %+v, want %+v", name, got, o)
			}
		}
		want("lo", spec.Origin{Name: "lo", Loopback: true})
		want("theirs", spec.Origin{Name: "theirs"})
		want("gw-0", spec.Origin{Name: "gw-0", Owner: netID, Marked: true})
		want("top", spec.Origin{Name: "gw-0", Owner: netID, Marked: true})
		want("br0", spec.Origin{Name: "br0", Marked: true})
		f.sh("ip link set gw-0 down")
		f.sh("ip link set gw-0 name other group 0")
		want("other", spec.Origin{Name: "other", Owner: netID})
		if o, err := f.Origin(context.Background(), 12345); err == nil {
			t.Errorf("a link that is not there: %+v", o)
		}
	})
}
