package link_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/spec"
)

var proxiedSubnet = netip.MustParsePrefix("2001:db8:7:0:80::/80")

func proxy(network string) spec.NDPProxy {
	return spec.NDPProxy{Link: "up0", NetworkID: network, Subnet: proxiedSubnet}
}

func proxiedAddress(a string) spec.Proxied {
	return spec.Proxied{EndpointID: epID, Link: "up0", Address: netip.MustParseAddr(a)}
}

// The first one is answered for, the second one is not; both are a machine's behind the host.
const firstProxied, secondProxied = "2001:db8:7:0:80::2", "2001:db8:7:0:80::3"

// proxying runs f in a host that forwards, whose link up0 leads to a router, by which f runs commands. The /64 is on-link there,
// and a part of it is behind the host.
func proxying(t *testing.T, do func(f fixture, router func(string) string)) {
	t.Helper()
	inside(t, func(f fixture) {
		router, _ := machine(f)
		f.sh("ip link set n1 name up0 up")
		behind, _ := machine(f)
		f.sh("ip link set n1 up")
		f.sh("ip addr add 2001:db8:7::1/64 dev up0 nodad")
		f.sh("ip addr add 2001:db8:7:0:80::1/80 dev n1 nodad")
		router("ip addr add 2001:db8:7::fe/64 dev n0 nodad")
		router("sysctl -qw net.ipv6.neigh.n0.retrans_time_ms=100") // it soon gives up
		for _, a := range []string{firstProxied, secondProxied} {
			behind("ip addr add " + a + "/80 dev n0 nodad")
		}
		behind("ip route add default via 2001:db8:7:0:80::1")
		f.set("net/ipv6/conf/all/forwarding", "1")
		f.eventually("carrier", func() error {
			for what, out := range map[string]string{"router": router("ip -o -6 addr show dev n0"), "behind": behind("ip -o -6 addr show dev n0"), "host": f.sh("ip -o -6 addr show dev up0")} {
				if !strings.Contains(out, "fe80") || strings.Contains(out, "tentative") {
					return fmt.Errorf("%s: %s", what, out)
				}
			}
			return nil
		})
		do(f, router)
	})
}

// answering runs f in a host that forwards and has a link up0.
func answering(t *testing.T, do func(f fixture)) {
	t.Helper()
	inside(t, func(f fixture) {
		f.sh("ip link add up0 type veth peer name up1")
		f.set("net/ipv6/conf/up1/disable_ipv6", "1")
		// Without a carrier older kernels forget proxy entries, a moment after the link was set up.
		f.sh("ip link set up1 up")
		f.sh("ip link set up0 up")
		f.set("net/ipv6/conf/all/forwarding", "1")
		do(f)
	})
}

// proxySettings are what is changed for the sake of proxies, entries apart.
func (f fixture) proxySettings() string {
	f.t.Helper()
	return strings.Join(f.sysctls("net/ipv6/conf/all/proxy_ndp", "net/ipv6/neigh/up0/proxy_delay", "net/ipv6/conf/up0/forwarding"), " ")
}

const proxiedSettings = "proxy_ndp=1 proxy_delay=0 forwarding=1"

// entries are the proxy neighbour entries of the host, and what is noted on links.
func (f fixture) entries() string {
	f.t.Helper()
	var lines []string
	for line := range strings.Lines(f.sh("ip -6 -d neigh show proxy")) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	for line := range strings.Lines(f.sh("ip link show")) {
		if name, is := strings.CutPrefix(strings.TrimSpace(line), "altname "); is {
			lines = append(lines, strings.ReplaceAll(name, netID, "NET"))
		}
	}
	return strings.Join(sorted(lines), "\n")
}

func (f fixture) macOf(name string) string {
	f.t.Helper()
	_, rest, _ := strings.Cut(f.sh("ip -o link show "+name), "link/ether ")
	mac, _, _ := strings.Cut(rest, " ")
	return mac
}

// asked says what becomes of the router's question for an address: REACHABLE, or FAILED. With probe it has been
// answered before, and the router asks the address itself.
func (f fixture) asked(router func(string) string, address string, probe bool) (state string) {
	f.t.Helper()
	if probe {
		mac := f.macOf("up0")
		router("ip neigh replace " + address + " dev n0 lladdr " + mac + " nud probe")
	} else {
		router("ip neigh flush to " + address + " dev n0")
		router("ip neigh replace " + address + " dev n0 nud none use")
	}
	f.eventually("answer for "+address, func() error {
		fields := strings.Fields(router("ip neigh show " + address))
		if len(fields) > 0 {
			state = fields[len(fields)-1]
		}
		if state != "REACHABLE" && state != "FAILED" {
			return fmt.Errorf("state %q", state)
		}
		return nil
	})
	return state
}

// answers wants the router to find the first address, in both ways of asking, and the packets to pass; and not the second one.
func (f fixture) answers(when string, router func(string) string, want string) {
	f.t.Helper()
	for _, probe := range []bool{false, true} {
		if got := f.asked(router, firstProxied, probe); got != want {
			f.t.Errorf("%s: the router asks (probe %t): %s, want %s", when, probe, got, want)
		}
	}
	if got := f.asked(router, secondProxied, false); got != "FAILED" {
		f.t.Errorf("%s: somebody answers for %s: %s", when, secondProxied, got)
	}
	if want == "REACHABLE" {
		router("ping -6 -c1 -W5 " + firstProxied)
	}
}

// TestNDPProxy: a router finds the addresses that are answered for and no others, by each of its questions; what
// somebody changes comes back, and in the end all is as it was.
func TestNDPProxy(t *testing.T) {
	ctx := context.Background()
	proxying(t, func(f fixture, router func(string) string) {
		before := f.dump() + f.proxySettings() + f.entries()
		f.answers("before", router, "FAILED")
		f.lines("EnsureNDPProxy", func() ([]string, error) { return f.EnsureNDPProxy(ctx, proxy(netID)) }, []string{
			"net/ipv6/conf/all/proxy_ndp was 0: set to 1", "net/ipv6/neigh/up0/proxy_delay was 80: set to 0",
			"link up0 answered for no addresses of 2001:db8:7:0:80::/80: it does",
		})
		f.answers("without an entry", router, "FAILED")
		f.lines("EnsureProxied", func() ([]string, error) { return f.EnsureProxied(ctx, proxiedAddress(firstProxied)) }, []string{
			"link up0: proxy neighbour entry of 2001:db8:7:0:80::2 was missing: added",
		})
		whole := f.entries()
		f.same("2001:db8:7:0:80::2 dev up0 proxy proto 71\ngangway-NET-delay-80\ngangway-NET-ndp-2001_db8_7_0_80__-80\ngangway-NET-proxyndp", whole)
		f.same(proxiedSettings, f.proxySettings())
		f.answers("with one", router, "REACHABLE")
		objects := []spec.Object{proxy(netID), proxiedAddress(firstProxied)}
		for _, damage := range []string{
			"ip -6 neigh del proxy 2001:db8:7:0:80::2 dev up0",
			"sysctl -qw net.ipv6.conf.all.proxy_ndp=0", "sysctl -qw net.ipv6.neigh.up0.proxy_delay=50", "sysctl -qw net.ipv6.conf.up0.forwarding=0",
			"ip link property del dev up0 altname gangway-" + netID + "-ndp-2001_db8_7_0_80__-80",
			"ip link set up0 down",
		} {
			f.sh(damage)
			amiss, err := f.Amiss(ctx, objects)
			if err != nil || len(amiss) != 1 {
				t.Errorf("after %s: %v, %v", damage, amiss, err)
			}
			for _, o := range amiss {
				if _, err = f.Ensure(ctx, o); err != nil {
					t.Errorf("after %s: %v", damage, err)
				}
			}
			amiss, err = f.Amiss(ctx, objects)
			f.ok(err)
			f.same("[]", fmt.Sprint(amiss))
			f.same(proxiedSettings, f.proxySettings())
		}
		f.sh("ip link set up0 up")
		f.sh("ip addr add 2001:db8:7::1/64 dev up0 nodad") // the kernel took it along
		f.eventually("carrier", func() error {
			if out := f.sh("ip -o -6 addr show dev up0"); !strings.Contains(out, "fe80") || strings.Contains(out, "tentative") {
				return errors.New(out)
			}
			return nil
		})
		f.answers("mended", router, "REACHABLE")
		f.contains(f.entries(), "gangway-NET-forward")
		f.ok(f.Remove(ctx, proxiedAddress(firstProxied)))
		f.answers("taken away", router, "FAILED")
		f.ok(f.Remove(ctx, proxy(netID)))
		f.set("net/ipv6/conf/up0/forwarding", "1") // it was set to 0 above, and is again
		if d := cmp.Diff(before, f.dump()+f.proxySettings()+f.entries()); d != "" {
			t.Errorf("(-before +after):\n%s", d)
		}
		f.ok(f.Remove(ctx, proxiedAddress(firstProxied)))
		f.ok(f.Remove(ctx, proxy(netID)))
	})
}

// TestNDPProxyAnnounced: a router that knows an address with another hardware address learns the host's from the
// entry alone.
func TestNDPProxyAnnounced(t *testing.T) {
	proxying(t, func(f fixture, router func(string) string) {
		router("ip neigh replace " + firstProxied + " dev n0 lladdr 02:00:00:00:00:01 nud reachable")
		_, err := f.EnsureProxied(context.Background(), proxiedAddress(firstProxied))
		f.ok(err)
		mac := f.macOf("up0")
		f.eventually("the router's entry", func() error {
			if got := router("ip neigh show " + firstProxied); !strings.Contains(got, mac) {
				return errors.New(got)
			}
			return nil
		})
	})
}

// TestNDPProxyShared: two networks on one link, in whatever order they go: the last one sets back what was set. What
// others have set, or made, stays.
func TestNDPProxyShared(t *testing.T) {
	ctx := context.Background()
	answering(t, func(f fixture) {
		f.set("net/ipv6/conf/up0/forwarding", "0")
		before := f.proxySettings() + f.entries()
		ensure := func(list ...string) {
			t.Helper()
			for _, network := range list {
				_, err := f.EnsureNDPProxy(ctx, proxy(network))
				f.ok(err)
			}
		}
		for _, order := range [][]string{{netID, otherID}, {otherID, netID}} {
			ensure(netID, otherID)
			f.ok(f.DeleteNDPProxy(ctx, proxy(order[0])))
			f.same(proxiedSettings, f.proxySettings())
			ensure(order[1])
			f.ok(f.DeleteNDPProxy(ctx, proxy(order[1])))
			f.same(before, f.proxySettings()+f.entries())
		}
		// An entry of somebody else's serves, and stays.
		f.sh("ip -6 neigh add proxy " + firstProxied + " dev up0")
		f.set("net/ipv6/conf/all/proxy_ndp", "1")
		f.set("net/ipv6/neigh/up0/proxy_delay", "0")
		f.set("net/ipv6/conf/up0/forwarding", "1")
		before = f.proxySettings() + f.entries()
		ensure(netID)
		f.lines("EnsureProxied", func() ([]string, error) { return f.EnsureProxied(ctx, proxiedAddress(firstProxied)) }, nil)
		f.ok(f.Remove(ctx, proxiedAddress(firstProxied)))
		f.ok(f.DeleteNDPProxy(ctx, proxy(netID)))
		f.same(before, f.proxySettings()+f.entries())
	})
}

// TestNDPProxyStrays: addresses of no container, of a daemon that was killed, are found; those of a network that nobody knows
// go with what is noted, and so do settings.
func TestNDPProxyStrays(t *testing.T) {
	ctx := context.Background()
	answering(t, func(f fixture) {
		before := f.proxySettings() + f.entries()
		_, err := f.EnsureNDPProxy(ctx, proxy(netID))
		f.ok(err)
		for _, a := range []string{firstProxied, secondProxied} {
			_, err = f.EnsureProxied(ctx, proxiedAddress(a))
			f.ok(err)
		}
		f.sh("ip -6 neigh add proxy 2001:db8:7:0:80::4 dev up0")             // somebody else's
		f.sh("ip -6 neigh add proxy 2001:db8:7:0:81::4 dev up0 protocol 71") // of another subnet
		strays, err := f.Strays(ctx, []spec.NDPProxy{proxy(netID)}, []spec.Proxied{proxiedAddress(firstProxied)})
		f.ok(err)
		f.same("[proxied address 2001:db8:7:0:80::3 on link up0]", fmt.Sprint(strays))
		strays, err = f.Strays(ctx, nil, nil)
		f.ok(err)
		f.same("[]", fmt.Sprint(strays))
		_, err = f.Prune(ctx, []spec.Bridge{{NetworkID: netID}}, nil)
		f.ok(err)
		f.contains(f.entries(), secondProxied+" dev")
		removed, err := f.Prune(ctx, nil, nil)
		f.ok(err)
		f.contains(strings.Join(removed, "\n"), "up0 for the unknown network "+netID, "lo for the unknown network "+netID)
		f.same("2001:db8:7:0:80::4 dev up0 proxy\n2001:db8:7:0:81::4 dev up0 proxy proto 71", f.entries())
		f.sh("ip -6 neigh del proxy 2001:db8:7:0:80::4 dev up0")
		f.sh("ip -6 neigh del proxy 2001:db8:7:0:81::4 dev up0")
		f.same(before, f.proxySettings()+f.entries())
	})
}

// TestNDPProxyAway: without its link nothing is amiss, an address is no error, and the host's setting is set back all the same; a link
// that is back is used again.
func TestNDPProxyAway(t *testing.T) {
	ctx := context.Background()
	answering(t, func(f fixture) {
		objects := []spec.Object{proxy(netID), proxiedAddress(firstProxied)}
		for _, o := range objects {
			_, err := f.Ensure(ctx, o)
			f.ok(err)
		}
		f.sh("ip link del up0")
		amiss, err := f.Amiss(ctx, objects)
		f.ok(err)
		f.same("[]", fmt.Sprint(amiss))
		f.lines("EnsureProxied", func() ([]string, error) { return f.EnsureProxied(ctx, proxiedAddress(firstProxied)) }, nil)
		f.sh("ip link add up0 type bridge")
		amiss, err = f.Amiss(ctx, objects)
		f.ok(err)
		f.same(fmt.Sprint(objects), fmt.Sprint(amiss))
		for _, o := range objects {
			_, err = f.Ensure(ctx, o)
			f.ok(err)
		}
		f.contains(f.entries(), firstProxied+" dev up0")
		f.rename("up0", "up2")
		f.ok(f.Remove(ctx, proxiedAddress(firstProxied)))
		f.ok(f.Remove(ctx, proxy(netID)))
		f.same("", f.entries())
		f.rename("up2", "up0")
		_, err = f.EnsureNDPProxy(ctx, proxy(netID))
		f.ok(err)
		f.sh("ip link del up0")
		f.ok(f.Remove(ctx, proxy(netID)))
		f.same("0", f.sysctl("net/ipv6/conf/all/proxy_ndp"))
		f.same("", f.entries())
	})
}
