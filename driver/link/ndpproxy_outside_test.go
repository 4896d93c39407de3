package link_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/driver/spec"
)

// outsideProxy is one for a network that is translated into a part of the link's prefix.
func outsideProxy(outside string) spec.NDPProxy {
	p := spec.NDPProxy{Link: "up0", NetworkID: netID, Subnet: netip.MustParsePrefix("fd00:80::/80")}
	if outside != "" {
		p.Outside = netip.MustParsePrefix(outside)
	}
	return p
}

// TestNDPProxyOutside: who is on the link finds addresses outside. Another prefix takes the place of the first, with all
// that was answered for, though the daemon was killed in between; none leaves the settings alone, and in the end all is as it was.
func TestNDPProxyOutside(t *testing.T) {
	ctx := context.Background()
	const today, tomorrow = "2001:db8:7:0:80::/80", "2001:db8:8:0:80::/80"
	proxying(t, func(f fixture, router func(string) string) {
		before := f.proxySettings() + f.entries()
		becomes := func(outside string, want ...string) {
			t.Helper()
			amiss, err := f.Amiss(ctx, []spec.Object{outsideProxy(outside)})
			f.ok(err)
			f.same(fmt.Sprint([]spec.Object{outsideProxy(outside)}), fmt.Sprint(amiss))
			f.lines("EnsureNDPProxy", func() ([]string, error) { return f.EnsureNDPProxy(ctx, outsideProxy(outside)) }, want)
			amiss, err = f.Amiss(ctx, []spec.Object{outsideProxy(outside)})
			f.ok(err)
			f.same("[]", fmt.Sprint(amiss))
			f.same(proxiedSettings, f.proxySettings())
		}
		becomes(today,
			"net/ipv6/conf/all/proxy_ndp was 0: set to 1", "net/ipv6/neigh/up0/proxy_delay was 80: set to 0",
			"link up0 answered for no addresses of fd00:80::/80: it does", "link up0 answered for no addresses of 2001:db8:7:0:80::/80: it does")
		f.answers("without an entry", router, "FAILED")
		_, err := f.EnsureProxied(ctx, proxiedAddress(firstProxied))
		f.ok(err)
		f.answers("with one", router, "REACHABLE")
		strays, err := f.Strays(ctx, []spec.NDPProxy{outsideProxy(today)}, nil)
		f.ok(err)
		f.same("[proxied address 2001:db8:7:0:80::2 on link up0]", fmt.Sprint(strays))

		becomes(tomorrow, "link up0 answered for no addresses of 2001:db8:8:0:80::/80: it does",
			"link up0 answered for addresses of 2001:db8:7:0:80::/80, which are the network's no more: it does not")
		f.same("gangway-NET-delay-80\ngangway-NET-ndp-2001_db8_8_0_80__-80\ngangway-NET-ndp-fd00_80__-80\ngangway-NET-proxyndp", f.entries())
		f.answers("renumbered", router, "FAILED")
		becomes("", "link up0 answered for addresses of 2001:db8:8:0:80::/80, which are the network's no more: it does not")
		f.same("gangway-NET-delay-80\ngangway-NET-ndp-fd00_80__-80\ngangway-NET-proxyndp", f.entries())

		becomes(today, "link up0 answered for no addresses of 2001:db8:7:0:80::/80: it does")
		_, err = f.EnsureProxied(ctx, proxiedAddress(firstProxied))
		f.ok(err)
		f.rename("up0", "up2")
		f.ok(f.Remove(ctx, outsideProxy(""))) // the prefix goes with the link
		f.rename("up2", "up0")
		f.same(before, f.proxySettings()+f.entries())
	})
}
