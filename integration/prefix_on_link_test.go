package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// The prefixes that the link lan1 has, one after the other, without a router that would send anything to the host, and the part of
// each that is the network's and its twin's.
const (
	linkToday, linkTomorrow, linkUsed = "2001:db8:86:", "2001:db8:96:", "2001:db8:a6:"
	partProxied, partTwin             = "0:80::", "0:81::"
)

// onLinkNet is a host that has a link's /64 and nothing else, and a neighbour that has addresses of the same.
type onLinkNet struct {
	proxyNet
}

// renumbered gives lan1 a prefix.
func (o onLinkNet) renumbered(to string) {
	o.t.Helper()
	o.e.Run(o.t, "sh", "-ec", "ip -6 addr flush dev lan1 scope global; ip addr add "+to+":1/64 dev lan1 nodad")
}

// testPrefixOnLink: a neighbour on the link whose prefix a network is translated into finds containers by their addresses outside,
// and they reach it; those of a network without gangway.ndp_proxy are not found. Another prefix takes the place of the first, also while
// no daemon runs, and addresses that somebody there has are left to him.
func testPrefixOnLink(t *testing.T, e *harness.Engine) {
	o, out := onLinkNet{proxyNet{t: t, e: e}}, e.LAN.Outside
	e.LAN.Cable(t, e.Node, "lan1")
	e.Run(t, "ip", "link", "set", "lan1", "up")
	o.renumbered(linkToday)
	t.Cleanup(func() { out.Run(t, "ip", "neigh", "flush", "dev", "lan0") })
	// What is not translated is tracked, and goes nowhere.
	t.Cleanup(func() {
		e.Run(t, "sh", "-c", "for p in 80 81; do conntrack -D -f ipv6 -p tcp --orig-port-dst $p; done; true")
	})
	for _, prefix := range []string{linkToday, linkTomorrow, linkUsed} {
		lanAddress(t, out, "lan0", prefix+":a/64")
	}
	lanAddress(t, e.LAN.Neighbour, "lan0", linkToday+partProxied+"77/128")
	out.Serve(t, "tcp", "[::]:99")
	part := func(subnet string) []string {
		return []string{"-o", "gangway.ipv6=prefix", "-o", "gangway.ipv6.prefix=lan1", "-o", "gangway.ipv6.subnet=" + subnet}
	}
	proxy := []string{"-o", "gangway.ndp_proxy=lan1"}
	e.Refused(t, []string{"gangway.ipv6.prefix is delegated: add gangway.ipv6.prefix=lan1"},
		args([]string{"network", "create", "-d", e.Driver, "--ipv6", "--subnet", "fd00:86::/80", "-o", "gangway.ipv6=prefix"}, proxy, []string{"no"})...)
	e.Network(t, "n1", args(dual(e, "10.86.0.0/24", "fd00:86::/80"), part("0x80"), proxy)...)
	e.Network(t, "twin", args(dual(e, "10.87.0.0/24", "fd00:87::/80"), part("0x81"))...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: args([]string{"--ip6", "fd00:86::100"}, publish("8000:80"))}, "tcp", "[::]:80", "tcp", "[::]:81")
	e.Serve(t, harness.Container{Name: "c2", Network: "twin", Args: args([]string{"--ip6", "fd00:87::100"}, publish("8001:80"))}, "tcp", "[::]:80")
	o.reached("at first", linkToday)
	o.answered("an address that nobody has", linkToday+partProxied+"99", false)
	o.answered("the gateway's", linkToday+partProxied+"1", false)
	o.notFound("at first", linkToday)
	if out, err := e.TryDocker("run", "--rm", "--network", "n1", "--ip6", "fd00:86::77", harness.Image, "true"); err == nil || !strings.Contains(out+err.Error(), linkToday+partProxied+"77 outside, which is in use on link lan1") {
		t.Errorf("a neighbour's address: %s, %v", out, err)
	}

	o.renumbered(linkTomorrow)
	o.reached("renumbered", linkTomorrow)
	o.notFound("renumbered", linkTomorrow)
	o.answered("that of before", linkToday+partProxied+"100", false)
	o.usedByOthers()
	o.whileAway()

	e.Docker(t, "rm", "-f", "c1")
	o.answered("one that is gone", linkToday+partProxied+"100", false)
	e.Docker(t, "rm", "-f", "c2")
	e.Docker(t, "network", "rm", "n1", "twin")
	if left := o.entries(); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// reached wants the neighbour to reach the container's published port alone by its address outside, and the container the neighbour.
func (o onLinkNet) reached(when, prefix string) {
	o.t.Helper()
	out, six := o.e.LAN.Outside, prefix+partProxied+"100"
	harness.Eventually(o.t, when, func() error {
		_, err := out.TryGet("tcp", "["+six+"]:80", "-timeout", "1s")
		return err
	})
	from(o.t, when, out.Get(o.t, "tcp", "["+six+"]:80"), "c1", prefix+":a")
	from(o.t, when+": container", o.e.Inside("c1").Get(o.t, "tcp", "["+prefix+":a]:99"), "outside", six)
	if err := fails(out.Prober, "tcp", "["+six+"]:81"); err != nil {
		o.t.Errorf("%s: a port that is not published: %v", when, err)
	}
}

// notFound wants the twin's container to get no answers, though its questions arrive.
func (o onLinkNet) notFound(when, prefix string) {
	o.t.Helper()
	out, six := o.e.LAN.Outside, prefix+partTwin+"100"
	for who, ask := range map[*harness.Prober]string{out.Prober: "[" + six + "]:80", o.e.Inside("c2"): "[" + prefix + ":a]:99"} {
		if err := fails(who, "tcp", ask); err != nil {
			o.t.Errorf("%s: without the option %v", when, err)
		}
	}
	o.answered(when+": without the option", six, false)
}

// usedByOthers: of a prefix that somebody on the link has the container's address in, that is left to him until he has it no more.
func (o onLinkNet) usedByOthers() {
	o.t.Helper()
	neighbour, six := o.e.LAN.Neighbour, linkUsed+partProxied+"100"
	neighbour.Run(o.t, "ip", "addr", "add", six+"/64", "dev", "lan0", "nodad")
	neighbour.Serve(o.t, "tcp", "["+six+"]:80")
	o.renumbered(linkUsed)
	prefixed{o.t, o.e}.told("has that address on link lan1", true)
	by(o.t, "an address that a neighbour has", o.e.LAN.Outside.Get(o.t, "tcp", "["+six+"]:80"), "neighbour")
	if got := o.e.Run(o.t, "ip", "-6", "neigh", "show", "proxy"); got != "" {
		o.t.Errorf("the host answers for an address that a neighbour has: %s", got)
	}
	neighbour.Run(o.t, "ip", "addr", "del", six+"/64", "dev", "lan0")
	o.reached("when he has it no more", linkUsed)
	prefixed{o.t, o.e}.told("has that address on link lan1", false)
}

// whileAway: entries come back, and follow a prefix that changes while no daemon runs.
func (o onLinkNet) whileAway() {
	o.t.Helper()
	o.e.Run(o.t, "ip", "-6", "neigh", "del", "proxy", linkUsed+partProxied+"100", "dev", "lan1")
	o.reached("taken away", linkUsed)
	if o.e.Driver == string(harness.Managed) {
		o.renumbered(linkToday)
		o.e.KillPlugin(o.t)
	} else {
		o.e.KillGangway(o.t)
		o.renumbered(linkToday)
		o.e.StartGangway(o.t)
	}
	o.reached("renumbered while the daemon was away", linkToday)
	harness.Eventually(o.t, "entries", func() error {
		if got, want := o.e.Run(o.t, "ip", "-6", "neigh", "show", "proxy"), linkToday+partProxied+"100 dev lan1"; !strings.HasPrefix(got, want) || strings.Contains(got, "\n") {
			return fmt.Errorf("%q, want %s alone", got, want)
		}
		return nil
	})
	o.notFound("after that", linkToday)
}
