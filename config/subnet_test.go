package config

import (
	"net/netip"
	"testing"
)

func TestCheckSubnet(t *testing.T) {
	for _, good := range []string{"10.0.0.0/8", "10.0.0.0/31", "192.168.1.0/24", "100.64.0.0/10", "fd00::/64", "fd00::/127", "2001:db8::/32",
		"169.254.170.0/24", "169.254.0.0/16", "169.254.169.254/31", "fe80::/64", "fe80:1::/64", "fe80:1::/80", "febf::/16"} {
		if err := CheckSubnet(netip.MustParsePrefix(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, part := range map[string]string{
		"0.0.0.0/24":   "take it for the size of a subnet, with their own address manager alone; leave out --ipam-driver",
		"::/120":       "leave out --ipam-driver",
		"0.1.0.0/24":   "unspecified",
		"0.0.0.0/0":    "cannot be used",
		"127.1.0.0/16": "loopback",
		"126.0.0.0/7":  "loopback",
		"224.0.0.0/24": "multicast",
		"10.0.0.1/32":  "is a single address: a network needs room for its gateway and a container, use /30 or larger",
		"fe80::/80":    "the kernel gives each interface an address of fe80::/64; use that",
		"fe80::/63":    "fe80::/64",
		"fe80::/10":    "fe80::/64",
		"fe00::/8":     "no part of a larger network",
		"ff00::/8":     "multicast",
		"::/0":         "cannot be used",
		"fd00::1/128":  "use /126 or larger",
	} {
		wantErr(t, CheckSubnet(netip.MustParsePrefix(bad)), part)
	}
}

func TestCheckRange(t *testing.T) {
	for _, good := range []string{"10.0.0.0/8", "fd00::/48"} {
		if err := CheckRange(netip.MustParsePrefix(good)); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, part := range map[string]string{
		"169.254.0.0/20": "link-local addresses, which networks have to name",
		"fe80::/64":      "link-local",
		"fe80:1::/32":    "link-local",
		"127.0.0.0/8":    "loopback",
	} {
		wantErr(t, CheckRange(netip.MustParsePrefix(bad)), part)
	}
}
