package config

import (
	"net/netip"
	"testing"
)

func TestCheckSubnet(t *testing.T) {
	for _, good := range []string{"10.0.0.0/8", "10.0.0.0/31", "192.168.1.0/24", "100.64.0.0/10", "fd00::/64", "fd00::/127", "2001:db8::/32"} {
		if err := CheckSubnet(netip.MustParsePrefix(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, part := range map[string]string{
		"0.0.0.0/24":     "unspecified",
		"127.1.0.0/16":   "loopback",
		"126.0.0.0/7":    "loopback",
		"169.254.1.0/24": "link-local",
		"224.0.0.0/24":   "multicast",
		"10.0.0.1/32":    "is a single address: a network needs room for its gateway and a container, use /30 or larger",
		"fe80::/64":      "link-local",
		"ff00::/8":       "multicast",
		"::/0":           "cannot be used",
		"fd00::1/128":    "use /126 or larger",
	} {
		wantErr(t, CheckSubnet(netip.MustParsePrefix(bad)), part)
	}
}
