package link_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestHostPrefixes: which routes and addresses stand for a prefix that others have given the host.
func TestHostPrefixes(t *testing.T) {
	inside(t, func(f fixture) {
		want := func(when string, want ...string) {
			t.Helper()
			all, err := f.HostPrefixes(context.Background())
			var got []string
			for _, p := range all {
				got = append(got, strings.TrimSpace(fmt.Sprint(p.Link, " ", p.Prefix)))
			}
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %q, %v, want %q", when, got, err, want)
			}
		}
		want("without any")
		for _, line := range []string{
			"ip link set lo up", "ip link add eth0 type veth peer name far0", "ip link set eth0 up", "ip link set far0 up",
			"ip -6 route add unreachable 2001:db8:1200::/56 proto dhcp metric 1024", // systemd-networkd, dhcpcd
			"ip -6 route add unreachable 2001:db8:2200:10::/60 proto static metric 2147483647",
			// None of these is one.
			"ip -6 route add unreachable 2001:db8:3200::/64 metric 7",                // a ban, by hand
			"ip -6 route add unreachable 2001:db8::/32 proto static",                 // what is nobody's
			"ip -6 route add unreachable fd00::/48 proto static",                     // not global
			"ip -6 route add blackhole 2001:db8:4200::/56 proto static",              // another kind
			"ip -6 route add unreachable 2001:db8:5200::/56 proto static table 1000", // another table
			"ip -6 route add 2001:db8:6200::/56 dev eth0 proto static",               // leads somewhere
			"ip -6 address add 2001:db8:1:2::5/64 dev eth0 nodad",
			"ip -6 address add 2001:db8:1:2::6/64 dev eth0 nodad",
			"ip -6 address add 2001:db8:0:9::5/64 dev eth0 nodad valid_lft 1000 preferred_lft 1000", // as by router advertisements
			"ip -6 address add 2001:db8:1:9::5/64 dev eth0 nodad valid_lft 1000 preferred_lft 0",
			"ip -6 address add fd00:1::5/64 dev eth0 nodad",
		} {
			f.sh(line)
		}
		want("with some", "2001:db8:1200::/56", "2001:db8:2200:10::/60", "eth0 2001:db8:1:2::5/64", "eth0 2001:db8:1:2::6/64", "eth0 2001:db8:0:9::5/64")
		f.sh("ip -6 route del unreachable 2001:db8:1200::/56 proto dhcp metric 1024")
		f.sh("ip -6 address flush dev eth0 scope global")
		want("renumbered", "2001:db8:2200:10::/60")
	})
}
