package ipam

import (
	"testing"
)

func TestNewPoolID(t *testing.T) {
	for _, c := range []struct {
		name, space, pool, sub string
		want, err              string
	}{
		{name: "subnet", pool: "10.50.0.0/24", want: "gangway-local/10.50.0.0/24"},
		{name: "range", pool: "10.50.0.0/24", sub: "10.50.0.128/25", want: "gangway-local/10.50.0.0/24/10.50.0.128/25"},
		{name: "host bits are masked", pool: "10.50.0.7/24", sub: "10.50.0.200/25", want: "gangway-local/10.50.0.0/24/10.50.0.128/25"},
		{name: "ipv6", pool: "fd00:50::1/64", sub: "fd00:50::1:0/112", want: "gangway-local/fd00:50::/64/fd00:50::1:0/112"},
		{name: "global", space: GlobalSpace, pool: "10.0.0.0/8", want: "gangway-global/10.0.0.0/8"},
		{name: "mapped is ipv4", pool: "::ffff:10.1.0.0/112", want: "gangway-local/10.1.0.0/16"},
		{name: "point to point", pool: "10.0.0.2/31", want: "gangway-local/10.0.0.2/31"},
		{name: "point to point ipv6", pool: "fd00::2/127", want: "gangway-local/fd00::2/127"},
		{name: "range of one", pool: "10.0.0.0/24", sub: "10.0.0.5/32", want: "gangway-local/10.0.0.0/24/10.0.0.5/32"},
		{name: "range is the subnet", pool: "10.0.0.0/24", sub: "10.0.0.0/24", want: "gangway-local/10.0.0.0/24/10.0.0.0/24"},

		{name: "space", space: "LocalDefault", pool: "10.0.0.0/24", err: `unknown address space "LocalDefault"|gangway-local|gangway-global`},
		{name: "single", pool: "10.0.0.5/32", err: "10.0.0.5/32 is a single address|/30 or larger"},
		{name: "single ipv6", pool: "fd00::5/128", err: "fd00::5/128 is a single address|/126 or larger"},
		{name: "range outside", pool: "10.0.0.0/24", sub: "10.0.1.0/25", err: "range 10.0.1.0/25 is not inside subnet 10.0.0.0/24"},
		{name: "range larger", pool: "10.0.0.0/24", sub: "10.0.0.0/16", err: "range 10.0.0.0/16 is not inside"},
		{name: "range of other family", pool: "10.0.0.0/24", sub: "fd00::/64", err: "is not inside"},
		{name: "range is the network address", pool: "10.0.0.0/24", sub: "10.0.0.0/32", err: "no usable address|the network address of 10.0.0.0/24"},
		{name: "range is the broadcast address", pool: "10.0.0.0/24", sub: "10.0.0.255/32", err: "no usable address|the broadcast address"},
		{name: "range is anycast", pool: "fd00::/64", sub: "fd00::/128", err: "no usable address|subnet-router anycast"},
		{name: "multicast", pool: "224.1.0.0/16", err: "224.0.0.0/4 are multicast addresses"},
		{name: "multicast ipv6", pool: "ff02::/64", err: "multicast"},
		{name: "loopback", pool: "127.0.1.0/24", err: "loopback"},
		{name: "loopback ipv6", pool: "::/64", err: "cannot be used"},
		{name: "link-local", pool: "169.254.1.0/24", want: "gangway-local/169.254.1.0/24"},
		{name: "link-local ipv6", pool: "fe80::/64", want: "gangway-local/fe80::/64"},
		{name: "part of link-local ipv6", pool: "fe80::/80", err: "the kernel gives each interface an address of fe80::/64"},
		{name: "unspecified", pool: "0.1.0.0/24", err: "unspecified"},
		{name: "size", pool: "0.0.0.0/24", err: "0.0.0.0/24|size of a subnet|--ipam-driver"},
		{name: "everything", pool: "0.0.0.0/0", err: "cannot be used"},
		{name: "everything ipv6", pool: "::/0", err: "cannot be used"},
		{name: "contains special", pool: "126.0.0.0/7", err: "loopback"},
	} {
		t.Run(c.name, func(t *testing.T) {
			space := c.space
			if space == "" {
				space = LocalSpace
			}
			id, err := newPoolID(space, pfx(c.pool), pfx(c.sub))
			if c.err != "" {
				wantErr(t, err, c.err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if id.String() != c.want {
				t.Errorf("id %s, want %s", id, c.want)
			}
			again, err := parsePoolID(id.String())
			if err != nil || again != id {
				t.Errorf("parsed back: %v, %v", again, err)
			}
		})
	}
}

func TestBounds(t *testing.T) {
	for _, c := range []struct{ pool, sub, first, last, count string }{
		{"10.0.0.0/24", "", "10.0.0.1", "10.0.0.254", "254"},
		{"10.0.0.0/8", "", "10.0.0.1", "10.255.255.254", "16777214"},
		{"10.0.0.0/30", "", "10.0.0.1", "10.0.0.2", "2"},
		{"10.0.0.0/31", "", "10.0.0.0", "10.0.0.1", "2"},
		{"10.0.0.0/24", "10.0.0.0/25", "10.0.0.1", "10.0.0.127", "127"},
		{"10.0.0.0/24", "10.0.0.128/25", "10.0.0.128", "10.0.0.254", "127"},
		{"10.0.0.0/24", "10.0.0.64/26", "10.0.0.64", "10.0.0.127", "64"},
		{"fd00::/64", "", "fd00::1", "fd00::ffff:ffff:ffff:ffff", "18446744073709551615"},
		{"fd00::/127", "", "fd00::", "fd00::1", "2"},
		{"fd00::/64", "fd00::/112", "fd00::1", "fd00::ffff", "65535"},
	} {
		id, err := newPoolID(LocalSpace, pfx(c.pool), pfx(c.sub))
		if err != nil {
			t.Fatal(err)
		}
		first, last := id.bounds()
		if first != ip(c.first) || last != ip(c.last) || count(first, last) != c.count {
			t.Errorf("%s: %s to %s (%s), want %s to %s (%s)", id, first, last, count(first, last), c.first, c.last, c.count)
		}
	}
}

func FuzzParsePoolID(f *testing.F) {
	for _, s := range []string{"gangway-local/10.0.0.0/24", "gangway-global/10.0.0.0/24/10.0.0.128/25", "gangway-local/fd00::/64",
		"gangway-local/::ffff:10.0.0.0/120", "l/10.0.0.0/24", "", "////", "gangway-local/10.0.0.0/24/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := parsePoolID(s)
		if err != nil {
			return
		}
		if id.String() != s {
			t.Fatalf("%q was read as %q", s, id)
		}
		if first, last := id.bounds(); last.Less(first) || id.checkAddress(first) != nil || id.checkAddress(last) != nil {
			t.Fatalf("%q has bounds %s to %s", s, first, last)
		}
	})
}
