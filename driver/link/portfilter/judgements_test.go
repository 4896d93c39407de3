package portfilter

import (
	"net"
	"net/netip"
)

// judgement is a frame that the container sends, and whether it passes.
type judgement struct {
	frame  []byte
	passes bool
}

func judgements() []map[string]judgement {
	return []map[string]judgement{judgements4(), judgementsARP(), judgements6(), judgementsND(), judgementsHeaders()}
}

// toNextBridge is one of the addresses of whatever bridge is next.
func toNextBridge(last byte) net.HardwareAddr { return net.HardwareAddr{1, 0x80, 0xc2, 0, 0, last} }

func judgements4() map[string]judgement {
	return map[string]judgement{
		"IPv4 from its own address": {ip4Frame(own4), true},
		"from nowhere, as DHCP":     {ip4Frame(none4), true},
		"from link-local":           {ip4Frame(link4), true},
		"passed on":                 {ip4Frame(far4), true},
		"from the gateway's":        {ip4Frame(gate4), false},
		"from a neighbour's":        {ip4Frame(near4), false},
		"from nobody's":             {ip4Frame(netip.MustParseAddr("10.9.0.255")), false},
		"just outside":              {ip4Frame(netip.MustParseAddr("10.9.1.0")), true},
		"another MAC":               {ether(bridgeMAC, otherMAC, typeIPv4, packet4(own4)), false},
		"the bridge's MAC":          {ether(otherMAC, bridgeMAC, typeIPv4, packet4(own4)), false},
		"MAC differs at its end":    {ether(bridgeMAC, net.HardwareAddr{2, 0x42, 10, 9, 0, 9}, 0x88b5), false},
		"a packet cut short":        {ip4Frame(own4)[:network+19], false},
		"a frame cut short":         {ip4Frame(own4)[:13], false},
		"another protocol":          {ether(otherMAC, mac, 0x88b5, []byte("hello")), true},
		"to the next bridge":        {ether(toNextBridge(0x0e), mac, typeIPv4, packet4(far4)), false},
		"spanning tree":             {ether(toNextBridge(0), mac, 0x0026), false},
		"EAPOL":                     {ether(toNextBridge(3), mac, 0x888e), false},
		"ARP to the next bridge":    {ether(toNextBridge(3), mac, typeARP, arpOf(1, mac, own4, gate4)), false},
		"to another group":          {ether(toNextBridge(0x10), mac, 0x88b5), true},
		"to a group of others":      {ether(net.HardwareAddr{1, 0x80, 0xc2, 1, 0, 3}, mac, 0x88b5), true},

		"answer of DHCP":               {ip4Frame4(own4, 0, udpTo(68)), false},
		"answer from the gateway":      {ip4Frame4(gate4, 0, udpTo(68)), false},
		"answer from nobody":           {ip4Frame4(none4, 0, udpTo(68)), false},
		"answer passed on":             {ip4Frame4(far4, 0, udpTo(68)), false},
		"first fragment of an answer":  {ip4Frame4(own4, 0x2000, udpTo(68)), false},
		"later fragment like one":      {ip4Frame4(own4, 0x2001, udpTo(68)), true},
		"answer behind options":        {ip4Options(own4, udpTo(68)), false},
		"68 where no option is":        {ip4Options(own4, nil, 0, 68), false},
		"question of DHCP":             {ip4Frame4(none4, 0, udpTo(67)), true},
		"to a relay of DHCP":           {ip4Frame4(own4, 0, udpTo(67)), true},
		"UDP behind options":           {ip4Options(own4, udpTo(67)), true},
		"UDP cut short":                {ip4Frame4(own4, 0, udpTo(68)[:3]), true},
		"UDP behind options cut short": {ip4Options(own4, udpTo(68)[:3]), true},
	}
}

func judgementsARP() map[string]judgement {
	return map[string]judgement{
		"ARP asks":                       {arpFrame(1, mac, own4), true},
		"ARP answers":                    {arpFrame(2, mac, own4), true},
		"ARP probe":                      {arpFrame(1, mac, none4), true},
		"ARP of a router":                {arpFrame(1, mac, far4), false},
		"ARP answer for outside":         {arpFrame(2, mac, far4), false},
		"ARP from link-local":            {arpFrame(1, mac, link4), false},
		"ARP between link-local ones":    {ether(everybody, mac, typeARP, arpOf(1, mac, link4, netip.MustParseAddr("169.254.9.9"))), true},
		"ARP of neither kind":            {arpFrame(9, mac, far4), false},
		"ARP answers for the gateway":    {arpFrame(2, mac, gate4), false},
		"gratuitous ARP for a neighbour": {arpFrame(1, mac, near4), false},
		"ARP in another's name":          {arpFrame(2, otherMAC, own4), false},
		"ARP cut short":                  {arpFrame(2, mac, own4)[:arpEnd-1], false},
		"ARP of another format":          {ether(everybody, mac, typeARP, []byte{0, 1, 8, 0, 8, 4}, arpOf(1, mac, own4, gate4)[6:]), false},

		"a second tag":      {ether(everybody, mac, 0x8100, []byte{0, 0, 8, 6}, arpOf(2, mac, gate4, own4)), false},
		"a provider's tag":  {ether(everybody, mac, 0x88a8, []byte{0, 0, 8, 6}, arpOf(2, mac, own4, own4)), false},
		"an old provider's": {ether(everybody, mac, 0x9100, []byte{0, 0, 8, 6}, arpOf(2, mac, own4, own4)), false},
	}
}

func judgements6() map[string]judgement {
	ll, otherLL, bridgeLL := linkLocal(mac), linkLocal(otherMAC), linkLocal(bridgeMAC)
	datagram := make([]byte, 8)
	return map[string]judgement{
		"IPv6 from its own":  {ip6Frame(own6, 17, 64, datagram), true},
		"its link-local":     {ip6Frame(ll, 17, 64, datagram), true},
		"chosen link-local":  {ip6Frame(link6, 17, 64, datagram), true},
		"IPv6 from nowhere":  {ip6Frame(none6, 17, 64, datagram), true},
		"IPv6 passed on":     {ip6Frame(far6, 17, 64, datagram), true},
		"IPv6 gateway":       {ip6Frame(gate6, 17, 64, datagram), false},
		"IPv6 neighbour":     {ip6Frame(near6, 17, 64, datagram), false},
		"neighbour's own LL": {ip6Frame(otherLL, 17, 64, datagram), false},
		"bridge's own LL":    {ip6Frame(bridgeLL, 17, 64, datagram), false},
		"IPv6 cut short":     {ip6Frame(own6, 17, 64, nil)[:ip6End-1], false},
		"just outside, IPv6": {ip6Frame(netip.MustParseAddr("fd09:0:0:1::2"), 17, 64, datagram), true},
		"first words alike":  {ip6Frame(netip.MustParseAddr("fd09::1:0:2"), 17, 64, datagram), false},
	}
}

// judgementsND are those of messages about the link.
func judgementsND() map[string]judgement {
	const ra, redirect, ns, na, rs = 134, 137, 135, 136, 133
	ll, otherLL, bridgeLL := linkLocal(mac), linkLocal(otherMAC), linkLocal(bridgeMAC)
	return map[string]judgement{
		"solicits":            {ndFrame(own6, ns, gate6), true},
		"solicits from LL":    {ndFrame(ll, ns, gate6), true},
		"asks before use":     {ndFrame(none6, ns, own6), true},
		"asks before use, LL": {ndFrame(none6, ns, ll), true},
		"disputes an address": {ndFrame(none6, ns, near6), false},
		"disputes a LL":       {ndFrame(none6, ns, otherLL), false},
		"advertises":          {ndFrame(own6, na, own6), true},
		"advertises its LL":   {ndFrame(own6, na, ll), true},
		"advertises another":  {ndFrame(own6, na, link6), true},
		"advertises outside":  {ndFrame(own6, na, far6), false},
		"advertises any LL":   {ndFrame(own6, na, random6), false},
		"advertises the 16th": {ndFrame(own6, na, netip.MustParseAddr("fe80::10")), false},
		"from the 15th":       {ndFrame(netip.MustParseAddr("fe80::f"), ns, gate6), true},
		"from the 16th":       {ndFrame(netip.MustParseAddr("fe80::10"), ns, gate6), false},
		"from the zeroth":     {ndFrame(netip.MustParseAddr("fe80::"), ns, gate6), false},
		"from fe80:1::1":      {ndFrame(netip.MustParseAddr("fe80:1::1"), ns, gate6), false},
		"from any LL":         {ndFrame(random6, ns, gate6), false},
		"from outside":        {ndFrame(far6, ns, gate6), false},
		"from LL as RA":       {ndFrame(link6, ra, own6), false},
		"from outside as RA":  {ndFrame(far6, ra, own6), false},
		"from LL, redirect":   {ndFrame(random6, redirect, own6), false},
		"from LL, NA":         {ndFrame(link6, na, gate6), false},
		"from nobody, NA":     {ndFrame(none6, na, own6), false},
		"asks, any LL":        {ndFrame(none6, ns, random6), true},
		"asks, cut short":     {ndFrame(none6, ns, own6)[:ndTargetEnd-1], false},
		"for routers, nobody": {ndFrame(none6, rs, own6), true},
		"for routers, far":    {ndFrame(far6, rs, own6), false},
		"for routers, LL":     {ndFrame(random6, rs, own6), false},
		"any LL, no ND":       {ip6Frame(random6, icmp6, 64, nd(ns, own6)), true},
		"any LL, ping":        {ip6Frame(random6, icmp6, 255, nd(128, own6)), true},
		"any LL, cut short":   {ndFrame(random6, ns, own6)[:ip6End+3], false},
		"for the gateway":     {ndFrame(own6, na, gate6), false},
		"for the bridge":      {ndFrame(own6, na, bridgeLL), false},
		"for a neighbour":     {ndFrame(ll, na, near6), false},
		"target cut short":    {ndFrame(own6, na, own6)[:ndTargetEnd-1], false},
		"message cut short":   {ndFrame(own6, na, own6)[:ip6End+3], false},
		"router":              {ndFrame(ll, ra, own6), false},
		"redirect":            {ndFrame(ll, redirect, own6), false},
		"asks for routers":    {ndFrame(ll, rs, own6), true},
		"RA not believed":     {ip6Frame(ll, icmp6, 64, nd(ra, own6)), true},
		"ping, far":           {ip6Frame(own6, icmp6, 255, nd(128, own6)), true},
	}
}

// judgementsHeaders are those of what comes behind other headers.
func judgementsHeaders() map[string]judgement {
	const ra = 134
	ll, datagram := linkLocal(mac), make([]byte, 8)
	return map[string]judgement{
		"answer of DHCPv6":               {ip6Frame(ll, 17, 64, udpTo(546)), false},
		"answer from its address":        {ip6Frame(own6, 17, 255, udpTo(546)), false},
		"answer from any LL":             {ip6Frame(random6, 17, 1, udpTo(546)), false},
		"question of DHCPv6":             {ip6Frame(ll, 17, 1, udpTo(547)), true},
		"UDP cut short, IPv6":            {ip6Frame(ll, 17, 64, udpTo(546)[:3]), true},
		"answer behind hop-by-hop":       {ip6Frame(ll, 0, 64, behind(17, udpTo(546))), false},
		"answer behind a long one":       {ip6Frame(ll, 60, 64, join([]byte{17, 1}, make([]byte, 14), udpTo(546))), false},
		"other behind a long one":        {ip6Frame(ll, 60, 64, join([]byte{17, 1}, make([]byte, 14), udpTo(547))), true},
		"behind one that is cut short":   {ip6Frame(ll, 60, 64, join([]byte{17, 2}, make([]byte, 14))), true},
		"answer in a fragment":           {ip6Frame(ll, fragment, 64, behind(17, udpTo(546))), false},
		"later fragment like one, IPv6":  {ip6Frame(ll, fragment, 64, join([]byte{17, 0, 0, 8, 0, 0, 0, 0}, udpTo(546))), true},
		"fragment of UDP cut short":      {ip6Frame(ll, fragment, 64, behind(17, udpTo(546)[:3])), true},
		"answer behind two":              {toLL(ip6Frame(ll, 0, 64, behind(60, behind(17, udpTo(546))))), false},
		"answer behind one in fragments": {toLL(ip6Frame(ll, fragment, 64, behind(60, behind(17, udpTo(546))))), false},
		"answer behind authentication":   {toLL(ip6Frame(ll, ah, 64, behind(17, udpTo(546)))), false},
		"passed on, with two headers":    {ip6Frame(far6, 0, 64, behind(60, behind(17, udpTo(80)))), true},
		"passed on, authenticated":       {ip6Frame(far6, ah, 64, behind(17, udpTo(80))), true},
		"ping in fragments":              {toLL(ip6Frame(ll, fragment, 64, behind(icmp6, nd(128, own6)))), true},
		"TCP behind options":             {toLL(ip6Frame(ll, 60, 64, behind(tcp, datagram))), true},
		"header cut short":               {ip6Frame(ll, 60, 64, []byte{17, 0, 0}), false},

		"RA behind hop-by-hop":          {ip6Frame(ll, 0, 255, behind(icmp6, nd(ra, own6))), false},
		"RA behind destination options": {ip6Frame(ll, 60, 255, behind(icmp6, nd(ra, own6))), false},
		"RA in a fragment":              {ip6Frame(ll, fragment, 255, behind(icmp6, nd(ra, own6))), false},
		"RA behind both":                {ip6Frame(ll, fragment, 255, behind(60, behind(icmp6, nd(ra, own6)))), false},
		"fragment of a fragment":        {ip6Frame(ll, fragment, 255, behind(fragment, behind(icmp6, nd(ra, own6)))), false},
		"fragment cut short":            {ip6Frame(ll, fragment, 255, nil), false},
		"multicast DNS in fragments":    {ip6Frame(ll, fragment, 255, behind(17, datagram)), true},
		"report of multicast":           {ip6Frame(ll, 0, 1, behind(icmp6, nd(143, own6))), true},
	}
}
