package cli

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/golden"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/ipam"
	"github.com/gangway-net/gangway/ipam/lease"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/names"
)

var (
	clientVersion = plugin.Version{Version: "1.3.0", Commit: "0123abc", Go: "go1.26"}
	daemonVersion = plugin.Version{Version: "1.2.0", Commit: "fedcba9", Go: "go1.25"}
)

// inspector is a driver that shows what it is told.
type inspector struct {
	status    driver.Status
	networks  []driver.NetworkStatus
	endpoints []driver.EndpointStatus
	ports     []driver.PortStatus
	events    []events.Event
	addresses []ipam.AddressStatus
	dropped   []driver.Dropped
	packets   []driver.DroppedPacket
	decisions []driver.Decisions
	err       error
	// rates are those that were asked for.
	rates []string
	// book has names, if there are any.
	book     *names.Book
	policies *policies
	// block holds up Endpoints until it is closed.
	block chan struct{}
}

func (i *inspector) Status(context.Context) driver.Status            { return i.status }
func (i *inspector) Networks(context.Context) []driver.NetworkStatus { return i.networks }
func (i *inspector) Ports(context.Context) []driver.PortStatus       { return i.ports }

// Addresses implements plugin.Holdings.
func (i *inspector) Addresses(context.Context) ([]ipam.AddressStatus, error) {
	return i.addresses, i.err
}

// Dropped implements plugin.Drops.
func (i *inspector) Dropped(context.Context) []driver.Dropped { return i.dropped }

// Decisions is plugin.Drops, too.
func (i *inspector) Decisions(_ context.Context, of string) ([]driver.Decisions, error) {
	return slices.DeleteFunc(slices.Clone(i.decisions), func(d driver.Decisions) bool {
		return of != "" && d.NetworkID != of && d.EndpointID != of
	}), i.err
}

// FollowDrops hands out all packets, and then waits.
func (i *inspector) FollowDrops(ctx context.Context, started func() error, take func(driver.DroppedPacket) error) error {
	if i.err != nil {
		return i.err
	}
	if err := started(); err != nil {
		return err
	}
	for _, p := range i.packets {
		if err := take(p); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return nil
}

// SetRate implements plugin.Rates.
func (i *inspector) SetRate(_ context.Context, networkID, endpointID string, in, out *string) error {
	text := func(s *string) string {
		if s == nil {
			return "as it is"
		}
		return strconv.Quote(*s)
	}
	i.rates = append(i.rates, fmt.Sprintf("%s %s in %s, out %s", networkID[:4], endpointID[:4], text(in), text(out)))
	return i.err
}

// Events tells of everything at once and then of one more at a time.
func (i *inspector) Events(ctx context.Context, after uint64, wait time.Duration) []events.Event {
	if after < uint64(len(i.events)) {
		return i.events[after:]
	}
	if wait > 0 {
		<-ctx.Done()
	}
	return nil
}

func (i *inspector) Endpoints(context.Context) ([]driver.EndpointStatus, error) {
	if i.block != nil {
		<-i.block
	}
	return i.endpoints, i.err
}

// unused is domains that no test here calls.
type unused struct {
	plugin.Networks
	plugin.Addresses
}

const (
	net1 = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
	net2 = "hvs2zzjqhhqxlgkqnkzzzzzzz"
	ep1  = "aaaa1111bbbb2222cccc3333dddd4444eeee5555ffff6666000077778888999a"
	ep2  = "bbbb1111bbbb2222cccc3333dddd4444eeee5555ffff6666000077778888999b"
	ep3  = "e3"
	web  = "1111111111112222222222223333333333334444444444445555555555556666"
	db   = "2222222222222222222222223333333333334444444444445555555555556666"
)

// namedHost is busyHost with what an engine tells of it. It does not tell of net2, which
// is another one's.
func namedHost() *inspector {
	i := busyHost()
	i.book = names.New()
	engine := i.book.Source()
	engine.SetNetworks([]names.Network{{ID: net1, Name: "shop_front"}})
	engine.SetContainers([]names.Place{
		{EndpointID: ep1, NetworkID: net1, Container: names.Container{ID: web, Name: "shop-web-1"}},
		{EndpointID: ep2, NetworkID: net1, Container: names.Container{ID: db, Name: "shop-db-1"}},
	})
	return i
}

// busyHost is a host on which every column has its odd values: one family or
// both, none, an endpoint that never joined, ids shorter than the cut.
func busyHost() *inspector {
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	return &inspector{
		status: driver.Status{Firewall: "iptables", Protection: "fail-closed table", Networks: 2, Endpoints: 3, Ports: 15, Repairs: 1, LastCheck: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), Checks: 71,
			Dropped: driver.Drops{"spoofed": 3, "unpublished": 1200}},
		networks: []driver.NetworkStatus{
			{ID: net2, Bridge: "br-lan", Adopted: true, Subnets: []netip.Prefix{prefix("fd00:50::/64")}, Gateways: []netip.Addr{}, Internal: true, ModeIPv6: "isolated", Options: map[string]string{"com.docker.network.bridge.name": "br-lan", "com.docker.network.bridge.gateway_mode_ipv6": "isolated"}},
			{ID: net1, Bridge: "gw-0f1e2d3c4b5a", Subnets: []netip.Prefix{prefix("10.50.0.0/24"), prefix("fd00:51::/64")}, Gateways: []netip.Addr{addr("10.50.0.1"), addr("fd00:51::1")}, MTU: 1400, ICC: true, ModeIPv4: "nat", ModeIPv6: "routed", Options: map[string]string{"com.docker.network.driver.mtu": "1400", "com.docker.network.bridge.gateway_mode_ipv6": "routed", "gangway.anti_spoofing": "true"}, Guarded: true, Endpoints: 2, Dropped: driver.Drops{"spoofed": 3, "unpublished": 200}},
		},
		endpoints: []driver.EndpointStatus{
			{ID: ep3, NetworkID: net2, Bridge: "br-lan", Addresses: []netip.Prefix{prefix("fd00:50::2/64")}},
			{ID: ep2, NetworkID: net1, Bridge: "gw-0f1e2d3c4b5a", Addresses: []netip.Prefix{prefix("10.50.0.3/24")}, MAC: "02:42:0a:32:00:03", HostInterface: "gvbbbb1111", HostIndex: 14, ContainerInterface: "gpbbbb1111", ContainerIndex: 13},
			{ID: ep1, NetworkID: net1, Bridge: "gw-0f1e2d3c4b5a", Addresses: []netip.Prefix{prefix("10.50.0.2/24"), prefix("fd00:51::2/64")}, MAC: "02:42:0a:32:00:02", Sandbox: "/var/run/docker/netns/5b899146eb45", RateIn: "100mbit/1mb", HostInterface: "gvaaaa1111", HostIndex: 12, ContainerInterface: "eth0", ContainerIndex: 11, Ports: 15, Dropped: driver.Drops{"spoofed": 3}},
		},
		events: []events.Event{
			{Number: 1, Time: time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC), Kind: events.Repair, Text: "bridge gw-0f1e2d3c4b5a: was down: set up"},
			{Number: 2, Time: time.Date(2001, 2, 3, 4, 5, 7, 0, time.UTC), Kind: events.Flapping, Text: "somebody undoes the same repair again and again"},
			{Number: 3, Time: time.Date(2001, 2, 3, 4, 5, 8, 0, time.UTC), Kind: events.Dropped, Text: "3 packets dropped: 3 spoofed (network 0f1e2d3c4b5a, endpoint aaaa1111bbbb)"},
		},
		addresses: busyAddresses(),
		dropped: []driver.Dropped{
			{Reason: "unpublished", Packets: 1000},
			{Reason: "unpublished", Packets: 200, NetworkID: net1},
			{Reason: "spoofed", Packets: 3, NetworkID: net1, EndpointID: ep1},
			{Reason: "isolated", Packets: 7, NetworkID: net1, EndpointID: ep1},
			{Reason: "icc", Packets: 1, NetworkID: net2, EndpointID: ep3},
			{Reason: "policy", Packets: 12, NetworkID: net1, EndpointID: ep1, By: driver.PolicyEntry{Entry: policy.Entry{Option: policy.OptionEgress, Value: "deny"}}},
			{Reason: "policy", Packets: 2, NetworkID: net1, EndpointID: ep1, By: driver.PolicyEntry{Entry: policy.Entry{Option: policy.OptionIngress, Value: "lan"}, Own: true}},
		},
		decisions: []driver.Decisions{
			{NetworkID: net1, Policy: "0a1b2c3d4e5f", Sharers: 2, Entries: []policy.Use{
				{Entry: policy.Entry{Option: policy.OptionAllow, Value: "10.0.5.7:5432/tcp"}, Passes: true, Packets: 17, Bytes: 1020},
				{Entry: policy.Entry{Option: policy.OptionEgress, Value: "deny"}, Packets: 12, Bytes: 720},
			}},
			{NetworkID: net1, EndpointID: ep1, Policy: "ffeeddccbbaa", Audited: true, Entries: []policy.Use{{Entry: policy.Entry{Option: policy.OptionIngress, Value: "lan"}, Packets: 2, Bytes: 120}}},
			{NetworkID: net2, Policy: "1111deadbeef", Entries: []policy.Use{{Entry: policy.Entry{Option: policy.OptionHost, Value: "none"}}}},
		},
		ports: []driver.PortStatus{
			{EndpointID: ep1, NetworkID: net1, Protocol: "udp", HostIP: addr("0.0.0.0"), First: 10000, Last: 10010, ContainerIP: addr("10.50.0.2"), ContainerFirst: 20000, Path: "nat"},
			{EndpointID: ep1, NetworkID: net1, Protocol: "tcp", HostIP: addr("::"), First: 8000, Last: 8000, ContainerIP: addr("fd00:51::2"), ContainerFirst: 80, Path: "nat+relay"},
			{EndpointID: ep1, NetworkID: net1, Protocol: "tcp", HostIP: addr("0.0.0.0"), First: 8000, Last: 8000, ContainerIP: addr("10.50.0.2"), ContainerFirst: 80, Path: "nat"},
			{EndpointID: ep1, NetworkID: net1, Protocol: "tcp", HostIP: addr("::1"), First: 443, Last: 443, ContainerIP: addr("10.50.0.2"), ContainerFirst: 443, Path: "relay"},
			{EndpointID: ep1, NetworkID: net1, Protocol: "sctp", HostIP: addr("192.0.2.1"), First: 5000, Last: 5000, ContainerIP: addr("10.50.0.2"), ContainerFirst: 5000, Path: "nat"},
		},
	}
}

// busyAddresses are those of busyHost's networks, and of a pool of a swarm.
func busyAddresses() []ipam.AddressStatus {
	addr, local := netip.MustParseAddr, netip.MustParsePrefix("10.50.0.0/24")
	since := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	const pool = "gangway-local/10.50.0.0/24/10.50.0.0/28"
	return []ipam.AddressStatus{
		{Pool: "gangway-global/10.50.0.0/24", Subnet: local, Address: addr("10.50.0.2"), State: ipam.StateUsed, Since: since},
		{Pool: pool, Subnet: local, Local: true, Address: addr("10.50.0.4"), State: ipam.StateKept, Name: "shop-cache-1", Since: since},
		{Pool: pool, Subnet: local, Local: true, Address: addr("10.50.0.2"), State: ipam.StateUsed, Name: "shop-web-1", Since: since},
		{Pool: pool, Subnet: local, Local: true, Address: addr("10.50.0.1"), State: ipam.StateGateway, Since: since},
		{Pool: pool, Subnet: local, Local: true, Address: addr("10.50.0.9"), State: ipam.StateUsed, Since: since, Lease: &lease.Lease{
			Link: "eth1", MAC: "02:42:0a:32:00:09", Name: "web", Address: netip.MustParsePrefix("10.50.0.9/24"), Router: addr("10.50.0.254"), DNS: []netip.Addr{addr("10.50.0.254")},
			Server: addr("10.50.0.254"), Renew: since.AddDate(100, 0, 0), Rebind: since.AddDate(101, 0, 0), Until: since.AddDate(102, 0, 0),
		}},
		{Pool: pool, Subnet: local, Local: true, Address: addr("10.50.0.10"), State: ipam.StateUsed, Since: since, Lease: &lease.Lease{
			Link: "eth1", MAC: "02:42:0a:32:00:0a", Address: netip.MustParsePrefix("10.50.0.10/24"), Server: addr("10.50.0.254"), Gone: "DHCP server 10.50.0.254 refuses",
		}},
		{Pool: "gangway-local/fd00:50::/64", Subnet: netip.MustParsePrefix("fd00:50::/64"), Local: true, Address: addr("fd00:50::2"), State: ipam.StateUsed, Name: "alone", Since: since},
	}
}

// serve runs a real plugin server on a socket until the test ends.
func serve(t *testing.T, path string, i plugin.Inspector) *plugin.Server {
	t.Helper()
	return serveFor(t, path, i, 0)
}

// serveFor is serve with questions that wait so long, or the default if it is 0.
func serveFor(t *testing.T, path string, i plugin.Inspector, wait time.Duration) *plugin.Server {
	t.Helper()
	var book *names.Book
	var drops plugin.Drops
	var holdings plugin.Holdings
	var rates plugin.Rates
	var kept plugin.Policies
	switch i := i.(type) {
	case *inspector:
		book, drops, holdings, rates = i.book, i, i, i
		if i.policies != nil {
			kept = i.policies
		}
	case *latelyNamed:
		book, drops = i.book, i
	}
	s, err := plugin.New(plugin.Options{
		Networks: unused{}, Addresses: unused{}, Inspector: i, Holdings: holdings, Drops: drops, Rates: rates, Policies: kept, Names: book,
		Version: daemonVersion, Log: testkit.Quiet(), VerbTime: wait,
	})
	if err != nil {
		t.Fatal(err)
	}
	sock, err := plugin.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, sock) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("end of the server on %s: %v", path, err)
		}
	})
	return s
}

// host is a plugins folder with a ready daemon in it.
func host(t *testing.T, i plugin.Inspector) (dir string) {
	t.Helper()
	dir = t.TempDir()
	serve(t, filepath.Join(dir, socketName), i).Ready()
	return dir
}

// result is what a command left behind.
type result struct {
	code           int
	stdout, stderr string
}

// gangway runs the command as main does.
func gangway(t *testing.T, dir string, args ...string) result {
	t.Helper()
	return gangwayUntil(t.Context(), dir, args...)
}

// gangwayUntil runs the command until ctx ends.
func gangwayUntil(ctx context.Context, dir string, args ...string) result {
	root := New(Options{
		Version:    clientVersion,
		PluginDir:  dir,
		Serve:      func(cmd *cobra.Command, _ []string) error { return fmt.Errorf("served %s", cmd.Flag("state").Value) },
		ServeFlags: func(f *pflag.FlagSet) { f.String("state", "/var/lib/gangway", "`folder` for the state") },
	})
	var stdout, stderr bytes.Buffer
	// No arguments must not be nil: cobra would take the test's own.
	root.SetArgs(append([]string{}, args...))
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	code := Execute(ctx, root, &stderr)
	return result{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

// started matches the one thing that no test can choose.
var started = regexp.MustCompile(`(running since |"started": ")[^ "\n]+`)

// transcript runs commands and shows them as on a terminal.
func transcript(t *testing.T, dir string, lines ...string) string {
	t.Helper()
	var b strings.Builder
	for _, line := range lines {
		r := gangway(t, dir, strings.Fields(line)...)
		fmt.Fprintf(&b, "$ gangway %s\n%s", line, r.stdout)
		if r.stderr != "" {
			fmt.Fprintf(&b, "stderr: %s", r.stderr)
		}
		fmt.Fprintf(&b, "exit code %d\n\n", r.code)
	}
	text := strings.ReplaceAll(b.String(), dir, "/run/docker/plugins")
	return started.ReplaceAllString(text, "${1}START")
}

// compare holds got against testdata/name.golden.
func compare(t *testing.T, name, got string) {
	t.Helper()
	golden.Compare(t, filepath.Join("testdata", name+".golden"), got)
}
