package policy

import (
	"net/netip"
	"sync"

	"go4.org/netipx"

	"github.com/gangway-net/gangway/config"
)

// special4 and special6 are the addresses that are no public ones: those of the IANA's
// registries of special-purpose addresses (RFC 6890 and its successors, as of 2025) that are
// not reachable from everywhere or mean nothing as a destination, multicast, and what was
// reserved. Blocks of which a part is public (192.0.0.0/24, 2001::/23) count as a whole.
func special4() []string {
	return []string{
		"0.0.0.0/8",          // this network
		"10.0.0.0/8",         // private use
		"100.64.0.0/10",      // shared, RFC 6598
		"127.0.0.0/8",        // loopback
		"169.254.0.0/16",     // link-local
		"172.16.0.0/12",      // private use
		"192.0.0.0/24",       // protocol assignments
		"192.0.2.0/24",       // documentation
		"192.31.196.0/24",    // AS112
		"192.52.193.0/24",    // AMT
		"192.88.99.0/24",     // 6to4 relays, deprecated
		"192.168.0.0/16",     // private use
		"192.175.48.0/24",    // AS112
		"198.18.0.0/15",      // benchmarks
		"198.51.100.0/24",    // documentation
		"203.0.113.0/24",     // documentation
		"224.0.0.0/4",        // multicast
		"240.0.0.0/4",        // reserved, and limited broadcast
		"168.63.129.16/32",   // Azure's metadata, a public address of everybody's own
		"255.255.255.255/32", // limited broadcast
	}
}

// special6 is what is special within the space of global unicast addresses, 2000::/3; all
// outside of that is special, but for the well-known prefix of NAT64.
func special6() []string {
	return []string{
		"2001::/23",         // protocol assignments: Teredo, benchmarks, ORCHID
		"2001:db8::/32",     // documentation
		"2002::/16",         // 6to4
		"2620:4f:8000::/48", // AS112
		"3fff::/20",         // documentation
	}
}

const (
	global6 = "2000::/3"
	// nat64 has an IPv4 address in its last 32 bits (RFC 6052), sixToFour behind its
	// first 16 (RFC 3056); mapped and compatible are forms that no packet should have.
	nat64      = "64:ff9b::/96"
	sixToFour  = "2002::/16"
	mapped     = "::ffff:0:0/96"
	compatible = "::/96"
)

// privates are addresses for use within a site, and localLinks those of one link.
func privates() []string {
	return []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}
}

func localLinks() []string { return []string{"169.254.0.0/16", "fe80::/10"} }

// metadata is where clouds tell instances of themselves, with credentials: AWS (of an
// instance, of ECS tasks, of EKS pods), Google, Azure (169.254.169.254 as well), Oracle,
// Alibaba.
func metadata() []string {
	return []string{
		"169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32",
		"fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128",
	}
}

// groups are the addresses of each group, made once.
var groups = sync.OnceValue(func() map[config.Group]*netipx.IPSet {
	private, meta := setOf(privates()), setOf(metadata())
	return map[config.Group]*netipx.IPSet{
		config.GroupPrivate:  without(private, meta),
		config.GroupLAN:      without(setOf(append(privates(), localLinks()...)), meta),
		config.GroupMetadata: meta,
		config.GroupInternet: public(),
		config.GroupHost:     new(netipx.IPSet), // of which package policy knows none
	}
})

// public are the addresses that are anybody's, by NAT64 as well.
func public() *netipx.IPSet {
	special := setOf(special4())
	var b netipx.IPSetBuilder
	b.AddPrefix(netip.MustParsePrefix("0.0.0.0/0"))
	b.RemoveSet(special)
	b.AddPrefix(netip.MustParsePrefix(global6))
	for _, p := range special6() {
		b.RemovePrefix(netip.MustParsePrefix(p))
	}
	b.AddPrefix(netip.MustParsePrefix(nat64))
	for _, p := range special.Prefixes() {
		b.RemovePrefix(embed(nat64, p))
	}
	return built(&b)
}

// embed is an IPv4 prefix as a part of an IPv6 one.
func embed(outer string, p netip.Prefix) netip.Prefix {
	o := netip.MustParsePrefix(outer)
	a, four := o.Addr().As16(), p.Addr().As4()
	copy(a[o.Bits()/8:], four[:])
	return netip.PrefixFrom(netip.AddrFrom16(a), o.Bits()+p.Bits())
}

// embeddings are the prefixes behind which an IPv6 address has an IPv4 one.
func embeddings() []string { return []string{nat64, sixToFour, mapped, compatible} }

// withEmbedded adds the IPv6 forms of IPv4 addresses, by which they are reached as well.
func withEmbedded(set *netipx.IPSet) *netipx.IPSet {
	var b netipx.IPSetBuilder
	b.AddSet(set)
	for _, p := range set.Prefixes() {
		if p.Addr().Is4() {
			for _, outer := range embeddings() {
				b.AddPrefix(embed(outer, p))
			}
		}
	}
	return built(&b)
}

// addresses are those of an entry; none for the host's own, for those of names, which nobody
// knows here, and for networks that are not there.
func addresses(e config.Peers) *netipx.IPSet {
	if e.Name != "" {
		return new(netipx.IPSet)
	}
	if e.Group != "" {
		if set := groups()[e.Group]; set != nil {
			return set
		}
		return new(netipx.IPSet)
	}
	var b netipx.IPSetBuilder
	if e.Network.Name != "" {
		for _, subnet := range e.Network.Subnets() {
			b.AddPrefix(subnet)
		}
		return built(&b)
	}
	b.AddPrefix(e.Prefix)
	return built(&b)
}

func setOf(prefixes []string) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		b.AddPrefix(netip.MustParsePrefix(p))
	}
	return built(&b)
}

func without(set, less *netipx.IPSet) *netipx.IPSet {
	var b netipx.IPSetBuilder
	b.AddSet(set)
	b.RemoveSet(less)
	return built(&b)
}

// built is the set that a builder has; its errors are of invalid prefixes, which none of
// these is.
func built(b *netipx.IPSetBuilder) *netipx.IPSet {
	set, err := b.IPSet()
	if err != nil {
		return new(netipx.IPSet)
	}
	return set
}
