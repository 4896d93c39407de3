package nftables

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/testkit"
)

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(inOneForm(readGolden(t, name)), inOneForm(got)); d != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", path, d)
	}
}

// inOneForm is a listing of nft's without that in which its versions differ: where lines
// of elements break and their order, the name of a priority, flags under a mask, values of a look-up, and a range of one port.
func inOneForm(list string) string {
	list = regexp.MustCompile(`,\s+`).ReplaceAllString(list, ", ")
	list = strings.ReplaceAll(list, "priority dstnat + 1;", "priority -99;")
	list = strings.ReplaceAll(list, "tcp flags & (syn | rst) == syn", "tcp flags syn / syn,rst")
	list = typed(list)
	list = regexp.MustCompile(`elements = \{ .* \}`).ReplaceAllStringFunc(list, func(all string) string {
		elements := strings.Split(strings.TrimSuffix(strings.TrimPrefix(all, "elements = { "), " }"), ", ")
		slices.Sort(elements)
		return "elements = { " + strings.Join(elements, ", ") + " }"
	})
	return regexp.MustCompile(`:\d+-\d+`).ReplaceAllStringFunc(list, func(ports string) string {
		if first, last, _ := strings.Cut(ports[1:], "-"); first == last {
			return ":" + first
		}
		return ports
	})
}

// typed gives values of a look-up the types that nft 1.0 does not know, as later ones do: a protocol behind
// an address, else a hardware address or a port.
func typed(list string) string {
	untyped := regexp.MustCompile(`(daddr \. )?0x([0-9a-f]+) \[invalid type\]`)
	return untyped.ReplaceAllStringFunc(list, func(text string) string {
		parts := untyped.FindStringSubmatch(text)
		value, _ := strconv.ParseUint(parts[2], 16, 64) // of 12 digits at most
		switch {
		case parts[1] != "":
			return parts[1] + map[uint64]string{0: "ip", 6: "tcp", 17: "udp", 132: "sctp"}[value]
		case len(parts[2]) > 4:
			var mac [8]byte
			binary.BigEndian.PutUint64(mac[:], value)
			return net.HardwareAddr(mac[2:]).String()
		}
		return strconv.FormatUint(value, 10)
	})
}

func readGolden(t *testing.T, name string) string {
	t.Helper()
	want, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(want)
}

func quiet() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

// start makes a backend without iptables in the namespace of the test. Its
// table is open to the changes of others, and there is no fail-closed table.
func start(t testing.TB) *Backend {
	t.Helper()
	return startWith(t, Options{Log: quiet(), Mark: firewall.DefaultMark(), Shared: true, NoFailClosed: true})
}

// startOwner makes a backend that owns its table.
func startOwner(t testing.TB) *Backend {
	t.Helper()
	testkit.NeedKernel(t, 6, 9)
	b := startWith(t, Options{Log: quiet(), Mark: firewall.DefaultMark()})
	if b.kernel.flags == 0 {
		t.Fatal("the table has no owner that it outlives, on a kernel that can do it")
	}
	return b
}

func startWith(t testing.TB, o Options) *Backend {
	t.Helper()
	b, err := New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func sh(t testing.TB, format string, args ...any) string {
	t.Helper()
	command := fmt.Sprintf(format, args...)
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// id makes an engine's id of a letter.
func id(c string) string { return strings.Repeat(c, 64) }

func prefixes(s ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range s {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

func published(network, endpoint string, proto spec.Protocol, host string, first, last uint16, container string, to uint16) firewall.Port {
	return firewall.Port{NetworkID: id(network), EndpointID: id(endpoint), Published: spec.Published{
		Proto: proto, HostIP: netip.MustParseAddr(host), First: first, Last: last,
		ContainerIP: netip.MustParseAddr(container), ContainerFirst: to,
	}}
}

// richPeers are halves of every kind.
func richPeers() []firewall.Peer {
	return []firewall.Peer{
		peer("e", true, "gw-eeeeeeeeeeee", "mine", "10.200.3.2", spec.TCP, 80, 82),
		peer("e", true, "gw-eeeeeeeeeeee", "mine", "10.200.3.2", spec.UDP, 1000, 1999),
		peer("e", true, "gw-eeeeeeeeeeee", "mine", "10.200.3.3", 0, 0, 0),
		peer("e", true, "gw-eeeeeeeeeeee", "mine", "fd00:d::2", spec.SCTP, 80, 80),
		peer("e", true, "gw-eeeeeeeeeeee", "mine", "fd00:d::2", spec.TCP, 1, 65535),
		peer("e", true, "gw-eeeeeeeeeeee", "mine", "fd00:d::3", 0, 0, 0),
		peer("a", false, "gw-aaaaaaaaaaaa", "gw-eeeeeeeeeeee", "10.200.0.2", spec.TCP, 80, 82),
		peer("a", false, "gw-aaaaaaaaaaaa", "gw-eeeeeeeeeeee", "10.200.0.2", spec.UDP, 1000, 1999),
		peer("a", false, "gw-aaaaaaaaaaaa", "gw-eeeeeeeeeeee", "10.200.0.3", 0, 0, 0),
		peer("a", false, "gw-aaaaaaaaaaaa", "gw-eeeeeeeeeeee", "fd00:a::2", spec.SCTP, 80, 80),
		peer("a", false, "gw-aaaaaaaaaaaa", "gw-eeeeeeeeeeee", "fd00:a::2", spec.TCP, 1, 65535),
		peer("a", false, "gw-aaaaaaaaaaaa", "gw-eeeeeeeeeeee", "fd00:a::3", 0, 0, 0),
	}
}

func peer(network string, asks bool, bridge, other, addr string, proto spec.Protocol, first, last uint16) firewall.Peer {
	return firewall.Peer{NetworkID: id(network), EndpointID: id("9"), Asks: asks, Bridge: bridge, Other: other, Addr: netip.MustParseAddr(addr), Proto: proto, Span: spec.Span{First: first, Last: last}}
}

func open(network, endpoint, bridge, from string, proto spec.Protocol, addr string, first, last uint16) firewall.Open {
	return firewall.Open{NetworkID: id(network), EndpointID: id(endpoint), Bridge: bridge, From: from,
		Proto: proto, Addr: netip.MustParseAddr(addr), First: first, Last: last}
}

func both() firewall.Families { return firewall.Families{V4: true, V6: true} }

func inward(proto spec.Protocol, first, last uint16) firewall.Inward {
	return firewall.Inward{
		NetworkID: id("7"), EndpointID: id("1"), Proto: proto, Outside: netip.MustParseAddr("2001:db8:1:ff::2"), Inside: netip.MustParseAddr("fd00:7::2"), First: first, Last: last,
	}
}

// rich is a ruleset with one of everything.
func rich() firewall.Ruleset {
	return firewall.Ruleset{
		Networks: []firewall.Network{
			{ID: id("a"), Bridge: "gw-aaaaaaaaaaaa", ICC: true, Subnets: prefixes("10.200.0.0/24", "fd00:a::/64"),
				Masquerade: prefixes("10.200.0.0/24", "fd00:a::/64"), Hairpin: prefixes("10.200.0.0/24", "fd00:a::/64")},
			{ID: id("b"), Bridge: "mine", Hairpin: prefixes("10.200.1.0/24"), Masquerade: prefixes("10.200.1.0/24")},
			{ID: id("c"), Bridge: "gw-cccccccccccc", ICC: true, Internal: true, Gateways: []netip.Addr{netip.MustParseAddr("10.200.2.5"), netip.MustParseAddr("fd00:c::5")}},
			{ID: id("d"), Bridge: "gw-dddddddddddd", Masquerade: prefixes("255.255.255.0/24")},
			{ID: id("e"), Bridge: "gw-eeeeeeeeeeee", ICC: true, Routed: both(), Subnets: prefixes("10.200.3.0/24", "fd00:d::/64")},
			{ID: id("f"), Bridge: "gw-ffffffffffff", ICC: true, Unprotected: both(), Subnets: prefixes("10.200.4.0/24", "fd00:e::/64"),
				Masquerade: prefixes("10.200.4.0/24", "fd00:e::/64"), Source: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}},
		},
		Outside:   []spec.Outside{{Name: "eth0"}, {Name: "br-lan", Bridge: true}},
		NoTransit: both(),
		HighPorts: []firewall.HighPorts{{Proto: spec.UDP, First: 40000, Last: 51819}, {Proto: spec.SCTP, First: 60000, Last: 60000}},
		Direct: []firewall.Direct{
			{NetworkID: id("a"), EndpointID: id("1"), Clients: netip.MustParsePrefix("10.200.1.0/24"), Addr: netip.MustParseAddr("10.200.0.2")},
			{NetworkID: id("a"), EndpointID: id("1"), Clients: netip.MustParsePrefix("fd00:d::/64"), Addr: netip.MustParseAddr("fd00:a::2")},
		},
		PreservedPorts: []firewall.PreservedPorts{
			{NetworkID: id("a"), EndpointID: id("1"), Addr: netip.MustParseAddr("10.200.0.2"), First: 5000, Last: 5003},
			{NetworkID: id("a"), EndpointID: id("1"), Addr: netip.MustParseAddr("fd00:a::2"), First: 20000, Last: 29999},
			{NetworkID: id("f"), EndpointID: id("6"), Addr: netip.MustParseAddr("10.200.4.2"), Source: netip.MustParseAddr("192.0.2.7"), First: 53, Last: 53},
		},
		Translations: []firewall.Translation{
			{NetworkID: id("7"), Bridge: "gw-777777777777", Inside: netip.MustParsePrefix("fd00:7::/64"), Outside: netip.MustParsePrefix("2001:db8:1:ff::/64")},
			{NetworkID: id("8"), Bridge: "gw-888888888888", Inside: netip.MustParsePrefix("fd00:8::/80")},
		},
		Inward: []firewall.Inward{inward(spec.TCP, 80, 80), inward(spec.UDP, 5000, 5100)},
		Open: []firewall.Open{
			open("e", "5", "gw-eeeeeeeeeeee", "", spec.TCP, "10.200.3.2", 80, 80),
			open("e", "5", "gw-eeeeeeeeeeee", "", spec.UDP, "10.200.3.2", 1, 65535),
			open("e", "5", "gw-eeeeeeeeeeee", "", spec.UDP, "fd00:d::2", 80, 82),
			open("e", "5", "gw-eeeeeeeeeeee", "", spec.TCP, "fd00:d::2", 1000, 1999),
			open("a", "1", "gw-aaaaaaaaaaaa", "wg0", spec.SCTP, "10.200.0.2", 7, 8),
			open("a", "1", "gw-aaaaaaaaaaaa", "wg0", spec.TCP, "10.200.0.2", 1000, 1999),
			open("a", "1", "gw-aaaaaaaaaaaa", "wg0", spec.TCP, "fd00:a::2", 7, 7),
			open("a", "1", "gw-aaaaaaaaaaaa", "wg0", spec.TCP, "fd00:a::2", 1000, 1999),
		},
		Peers: richPeers(),
		Ports: []firewall.Port{
			published("a", "1", spec.TCP, "0.0.0.0", 80, 80, "10.200.0.2", 80),
			published("a", "1", spec.TCP, "0.0.0.0", 8000, 8000, "10.200.0.2", 8080),
			published("a", "1", spec.UDP, "192.0.2.1", 5000, 5003, "10.200.0.2", 5000),
			published("a", "1", spec.UDP, "192.0.2.1", 10000, 19999, "10.200.0.2", 10000),
			published("a", "1", spec.UDP, "0.0.0.0", 20000, 29999, "10.200.0.2", 20000),
			published("a", "1", spec.UDP, "0.0.0.0", 30000, 65535, "10.200.0.3", 30000),
			published("a", "1", spec.SCTP, "0.0.0.0", 1, 64, "10.200.0.3", 1),
			published("a", "2", spec.TCP, "127.0.0.1", 9000, 9003, "10.200.0.3", 90),
			published("b", "3", spec.SCTP, "0.0.0.0", 7000, 7000, "10.200.1.2", 7001),
			published("a", "1", spec.TCP, "::", 80, 80, "fd00:a::2", 80),
			published("a", "1", spec.TCP, "::", 8000, 8000, "fd00:a::2", 8080),
			published("a", "1", spec.UDP, "2001:db8::1", 5000, 5001, "fd00:a::2", 6000),
			published("a", "1", spec.UDP, "2001:db8::1", 10000, 19999, "fd00:a::2", 10000),
			published("a", "1", spec.TCP, "::", 10000, 19999, "fd00:a::2", 10000),
			// Relayed: no element.
			published("b", "3", spec.TCP, "::", 8001, 8001, "10.200.1.2", 80),
		},
	}
}
