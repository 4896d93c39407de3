package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testUplinkMove: the host's own link to a LAN becomes the uplink: the host keeps its addresses and routes there, its
// flows live on, and it, its neighbours, containers on the LAN and other networks reach each other as by any link of the
// host. It has all back afterwards.
func testUplinkMove(t *testing.T, e *harness.Engine) {
	streams := hostOnLAN(t, e)
	before := hostOn(t, e, "lan2")

	e.Network(t, "n1", args(dual(e, "10.88.0.0/24", "fd00:88::/64"),
		[]string{"--gateway", "10.88.0.3", "--gateway", "fd00:88::a3", "--ip-range", "10.88.0.128/25", "--aux-address", "host=fd00:88::1", "-o", "gangway.uplink=lan2", "-o", "gangway.uplink.move=true"})...)
	bridge := bridgeOf(t, e, "n1")
	if got := hostOn(t, e, bridge); got != before {
		t.Errorf("on the bridge: %s\nwas on the link: %s", got, before)
	}
	if left := hostOn(t, e, "lan2"); left != "" {
		t.Errorf("left on the link: %s", left)
	}
	e.Network(t, "n2", "--subnet", "10.86.0.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "[::]:80")
	e.Serve(t, harness.Container{Name: "other", Network: "n2", Args: []string{"-p", "8088:80"}}, "tcp", "[::]:80")
	movedReaches(t, e)
	for what, why := range map[string]string{
		"10.88.0.3": "10.88.0.3 is in use on link " + bridge, "10.88.0.1": "10.88.0.1 is the host's (link " + bridge + ")",
	} {
		if out, err := e.TryDocker("run", "--rm", "--network", "n1", "--ip", what, harness.Image, "true"); err == nil || !strings.Contains(out+err.Error(), why) {
			t.Errorf("%s: %s, %v, want %q", what, out, err, why)
		}
	}

	putOnLink(t, e, bridge, "10.88.0.77/24")
	back := killGangway(t, e)
	e.Run(t, "ip", "addr", "add", "10.88.0.1/24", "brd", "+", "dev", "lan2")
	back()
	putOnLink(t, e, bridge, "10.88.0.78/24")
	movedReaches(t, e)

	for _, container := range []string{"c1", "other"} {
		e.Docker(t, "rm", "-f", container)
	}
	for _, address := range []string{"10.88.0.77/24", "10.88.0.78/24"} {
		e.Run(t, "ip", "addr", "del", address, "dev", bridge)
	}
	e.Docker(t, "network", "rm", "n1")
	if got := hostOn(t, e, "lan2"); got != before {
		t.Errorf("given back: %s\nwas: %s", got, before)
	}
	if out, err := e.Try("ip", "link", "show", bridge); err == nil {
		t.Errorf("the bridge is left: %s", out)
	}
	for _, s := range streams {
		t.Logf("the longest time of a line: %s", s.Stop(t))
	}
	// A stream that began before the first rule with IPv6 is seen from where its next packet comes.
	e.Run(t, "sh", "-c", "for f in ipv4 ipv6; do for p in dst src; do conntrack -D -f $f -p tcp --orig-port-$p 97; done; done; true")
}

// hostOnLAN puts the host on a LAN by lan2, with a neighbour that has flows to it.
func hostOnLAN(t *testing.T, e *harness.Engine) []*harness.Stream {
	t.Helper()
	neighbour := e.LAN.Neighbour
	// Else the host answers by all its links on the LAN for each of its addresses.
	const ignore = "/proc/sys/net/ipv4/conf/all/arp_ignore"
	e.Run(t, "sh", "-c", "echo 1 >"+ignore)
	t.Cleanup(func() {
		e.Run(t, "sh", "-c", "echo 0 >"+ignore)
		neighbour.Run(t, "ip", "neigh", "flush", "dev", "lan0")
	})
	e.LAN.Cable(t, e.Node, "lan2")
	e.Run(t, "ip", "link", "set", "lan2", "up")
	lanAddress(t, neighbour, "lan0", "10.88.0.3/24", "fd00:88::a3/64")
	for _, args := range [][]string{
		{"addr", "add", "10.88.0.1/24", "brd", "+", "dev", "lan2"}, {"addr", "add", "fd00:88::1/64", "dev", "lan2", "nodad"},
		{"route", "add", "10.98.0.0/24", "via", "10.88.0.3", "dev", "lan2", "metric", "77"}, {"-6", "route", "add", "fd00:98::/64", "via", "fd00:88::a3", "dev", "lan2"},
	} {
		e.Run(t, append([]string{"ip"}, args...)...)
	}
	e.Host.Serve(t, "tcp", "[::]:97")
	neighbour.Serve(t, "tcp", "[::]:96")
	return []*harness.Stream{neighbour.Stream(t, "10.88.0.1:97"), neighbour.Stream(t, "[fd00:88::1]:97")}
}

// putOnLink puts an address on the link, which has to get to the bridge.
func putOnLink(t *testing.T, e *harness.Engine, bridge, address string) {
	t.Helper()
	e.Run(t, "ip", "addr", "add", address, "brd", "+", "dev", "lan2")
	harness.Eventually(t, address+" on the bridge", func() error {
		left, is := hostOn(t, e, "lan2"), hostOn(t, e, bridge)
		if left != "" || !strings.Contains(is, address) {
			return fmt.Errorf("on the link: %s; on the bridge: %s", left, is)
		}
		return nil
	})
}

// movedReaches: who reaches whom by the bridge.
func movedReaches(t *testing.T, e *harness.Engine) {
	t.Helper()
	neighbour, four, six := e.LAN.Neighbour, e.Address(t, "c1", "n1"), e.Address6(t, "c1", "n1")
	from(t, "neighbour to container", neighbour.Get(t, "tcp", four+":80"), "c1", "10.88.0.3")
	from(t, "neighbour to container, IPv6", neighbour.Get(t, "tcp", "["+six+"]:80"), "c1", "fd00:88::a3")
	from(t, "container to neighbour", e.Inside("c1").Get(t, "tcp", "10.88.0.3:96"), "neighbour", four)
	from(t, "container to the host", e.Inside("c1").Get(t, "tcp", "10.88.0.1:97"), e.Name, four)
	from(t, "host to container", e.Get(t, "tcp", four+":80"), "c1", "10.88.0.1")
	from(t, "neighbour to a published port", neighbour.Get(t, "tcp", "10.88.0.1:8088"), "other", "10.88.0.3")
	from(t, "another network to the neighbour", e.Inside("other").Get(t, "tcp", "10.88.0.3:96"), "neighbour", "10.88.0.1")
	neighbour.Run(t, "ip", "route", "replace", "10.86.0.0/24", "via", "10.88.0.1")
	neighbour.Unreachable(t, "tcp", e.Address(t, "other", "n2")+":80")
	neighbour.Run(t, "ip", "route", "del", "10.86.0.0/24")
}

// hostOn is what the host has by a link, without its name.
func hostOn(t *testing.T, e *harness.Engine, link string) string {
	t.Helper()
	var lines []string
	for _, list := range [][]string{{"-o", "addr", "show", "dev", link, "scope", "global"}, {"route", "show", "dev", link}, {"-6", "route", "show", "dev", link}} {
		for line := range strings.Lines(e.Run(t, append([]string{"ip"}, list...)...)) {
			f := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(line), link, "LINK"), " nodad", ""))
			if len(f) > 0 && !strings.HasPrefix(f[0], "fe80:") && !strings.HasPrefix(f[0], "ff00:") && f[0] != "multicast" {
				lines = append(lines, strings.TrimPrefix(strings.Join(f, " "), f[0]+" LINK"))
			}
		}
	}
	return strings.Join(lines, "; ")
}
