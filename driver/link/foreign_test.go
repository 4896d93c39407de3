package link_test

import (
	"context"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// tap makes a tap of that name, which is gone when the file is closed.
func (f fixture) tap(name string) *os.File {
	f.t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	f.ok(err)
	request, err := unix.NewIfreq(name)
	f.ok(err)
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	f.ok(unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
	return os.NewFile(uintptr(fd), name)
}

// TestForeignPorts: ports of others on bridges of gangway are told with what was learned behind
// them, and are no orphans; gangway's own, and ports of other bridges, are not among them.
func TestForeignPorts(t *testing.T) {
	inside(t, func(f fixture) {
		ctx := context.Background()
		b := dualStack()
		f.ensure(b, "bridge "+b.Name+" was missing: created")
		v := pair(b.Name)
		f.ensureVeth(v, "veth "+v.Host+" was missing: created")
		f.sh("ip link add br9 up type bridge")
		for name, bridge := range map[string]string{"tap1": b.Name, "tap9": "br9"} {
			file := f.tap(name)
			defer file.Close()
			f.sh("ip link set " + name + " up master " + bridge)
			for _, last := range []byte{2, 1, 2} {
				frame := append(append(append([]byte{}, everybody...), 2, 0, 0, 0, 9, last, 0x88, 0xb5), make([]byte, 46)...)
				if _, err := file.Write(frame); err != nil {
					f.t.Error(err)
				}
			}
		}
		all, err := f.ForeignPorts(ctx)
		f.ok(err)
		tap1, err := net.InterfaceByName("tap1")
		if err != nil {
			f.t.Error(err)
			return
		}
		want := []spec.ForeignPort{{
			Name: "tap1", Index: tap1.Index, Kind: "tap", Bridge: b.Name, NetworkID: b.NetworkID, Up: true,
			Learned: []string{"02:00:00:00:09:01", "02:00:00:00:09:02"}, Addresses: 2,
		}}
		if d := cmp.Diff(want, all); d != "" {
			f.t.Errorf("ports of others (-want +got):\n%s", d)
		}
		if removed, err := f.Prune(ctx, []spec.Bridge{b}, []spec.Veth{v}); err != nil || removed != nil {
			f.t.Errorf("pruned %q, %v", removed, err)
		}
		f.ok(f.DeleteBridge(ctx, b))
		f.contains(f.sh("ip link show tap1"), "tap1")
	})
}
