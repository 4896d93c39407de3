package link_test

import (
	"context"
	"errors"
	"testing"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
)

// TestNDPProxyRefused: a link by which nobody asks is refused with why, and nothing is changed.
func TestNDPProxyRefused(t *testing.T) {
	ctx := context.Background()
	answering(t, func(f fixture) {
		f.sh("ip link add br9 type bridge")
		f.sh("ip link add port0 type veth peer name port1")
		f.sh("ip link set port0 master br9")
		f.sh("ip link property add dev br9 altname other")
		f.sh("ip link add deaf type bridge")
		f.set("net/ipv6/conf/deaf/disable_ipv6", "1")
		f.sh("ip tuntap add dev tun9 mode tun")
		f.sh("ip link add gw-b type bridge")
		f.sh("ip link set gw-b alias gangway:" + otherID)
		f.sh("ip link add taken type bridge")
		f.sh("ip link property add dev taken altname gangway-" + otherID + "-group")
		for name, why := range map[string]string{
			"none": "there is no link of that name", "other": "alternative name of link br9", "port0": "is a port of another link",
			"lo": "has no neighbours", "tun9": "has no neighbours", "deaf": "has IPv6 switched off", "gw-b": "is gangway's own", "taken": "is the bridge of the network " + otherID,
		} {
			p := proxy(netID)
			p.Link = name
			f.refuses(name, func() error { _, err := f.EnsureNDPProxy(ctx, p); return err }, why)
		}
		f.WithoutAltNames()
		f.refuses("an old kernel", func() error { _, err := f.EnsureNDPProxy(ctx, proxy(netID)); return err }, "Linux 5.5", "without gangway.uplink and gangway.ndp_proxy")
	})
}

// TestNDPProxyKilled: a process that ends at whatever step, there or back, is gone on with by the next one, or taken back as that of
// a network that nobody knows.
func TestNDPProxyKilled(t *testing.T) {
	ctx := context.Background()
	objects := []spec.Object{proxy(netID), proxiedAddress(firstProxied)}
	ensure := func(f fixture) (err error) {
		for _, o := range objects {
			if err == nil {
				_, err = f.Ensure(ctx, o)
			}
		}
		return err
	}
	remove := func(f fixture) error {
		return errors.Join(f.Remove(ctx, objects[1]), f.Remove(ctx, objects[0]))
	}
	for name, back := range map[string]bool{"there": false, "back": true} {
		t.Run(name, func(t *testing.T) {
			steps := 0
			for ended := false; !ended; steps++ {
				answering(t, func(f fixture) {
					f.set("net/ipv6/conf/up0/forwarding", "0")
					before := f.proxySettings() + f.entries()
					do := ensure
					if back {
						f.ok(ensure(f))
						do = remove
					}
					var err error
					f.another(func(f fixture) { f.StopBefore(steps); err = do(f) })
					if ended = err == nil; !ended && !link.Stopped(err) {
						t.Errorf("step %d: %v", steps, err)
					}
					if steps%2 == 0 { // made whole first
						f.another(func(f fixture) { f.ok(ensure(f)) })
						f.same(proxiedSettings, f.proxySettings())
					}
					f.another(func(f fixture) {
						_, err := f.Prune(ctx, nil, nil)
						f.ok(err)
					})
					f.same(before, f.proxySettings()+f.entries())
				})
				if t.Failed() {
					t.Fatalf("killed before step %d", steps)
				}
			}
			if steps < 8 {
				t.Errorf("%d steps: what is changed?", steps)
			}
		})
	}
}
