package doctor

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/plugin"
)

const (
	endpoint = "e1e1e1e1e1e1e1e1"
	network  = "n1"
	sandbox  = "/run/docker/netns/1"
)

// healthy is a host with one container that serves its published port 8000.
func healthy() Facts {
	addr := netip.MustParseAddr
	return Facts{
		State: State{
			Networks: []plugin.Network{{NetworkStatus: driver.NetworkStatus{ID: network, Bridge: "gw-a", Endpoints: 1}}},
			Endpoints: []plugin.Endpoint{{EndpointStatus: driver.EndpointStatus{
				ID: endpoint, NetworkID: network, Bridge: "gw-a", Addresses: []netip.Prefix{netip.MustParsePrefix("10.80.0.2/24")}, MAC: "02:42:0a:50:00:02",
				Sandbox: sandbox, HostInterface: "gv-1", ContainerInterface: "eth0",
			}}},
			Ports: []plugin.Port{
				{PortStatus: driver.PortStatus{EndpointID: endpoint, NetworkID: network, Protocol: "tcp", HostIP: addr("0.0.0.0"), First: 8000, Last: 8000, ContainerIP: addr("10.80.0.2"), ContainerFirst: 80, Path: "nat"}},
				{PortStatus: driver.PortStatus{EndpointID: endpoint, NetworkID: network, Protocol: "tcp", HostIP: addr("::"), First: 8000, Last: 8000, ContainerIP: addr("10.80.0.2"), ContainerFirst: 80, Path: "relay"}},
			},
			Files: 10, FileLimit: 1024,
		},
		Host: Host{
			Settings: map[string]int{forward4: 1, flows: 10, flowLimit: 65536}, Uplinks: []string{"eth0"},
			Links: map[string]Link{
				"eth0": {MTU: 1500, Up: true, Carrier: true, Addresses: []netip.Addr{addr("192.0.2.1")}},
				"gw-a": {MTU: 1500, Up: true, Kind: "bridge"}, "gv-1": {MTU: 1500, Up: true, Master: "gw-a"},
			},
			Ways:       map[netip.Addr]Way{addr("10.80.0.2"): {Link: "gw-a"}},
			Neighbours: map[netip.Addr]Neighbour{addr("10.80.0.2"): {MAC: "02:42:0a:50:00:02"}},
		},
		Containers: map[string]Container{sandbox: {
			Addresses: []netip.Addr{addr("127.0.0.1"), addr("10.80.0.2")}, Default4: true, Down: map[string]bool{},
			Listeners: []Listener{{Protocol: "tcp", Addr: netip.MustParseAddrPort("0.0.0.0:80")}},
		}},
	}
}

func listen(f *Facts, addrs ...string) {
	c := f.Containers[sandbox]
	c.Listeners = nil
	for _, a := range addrs {
		at := netip.MustParseAddrPort(a)
		c.Listeners = append(c.Listeners, Listener{Protocol: "tcp", Addr: at, Both: at.Addr() == netip.IPv6Unspecified()})
	}
	f.Containers[sandbox] = c
}

// damage is one thing that is wrong on a host, or two.
type damage struct {
	do func(f *Facts)
	// port is what is asked for; 0 for all.
	port uint16
	// want has a finding each, as words of it, split by " … ".
	want []string
}

func within(do func(c *Container)) func(f *Facts) {
	return func(f *Facts) {
		c := f.Containers[sandbox]
		do(&c)
		f.Containers[sandbox] = c
	}
}

func filter(lines ...string) func(f *Facts) {
	return func(f *Facts) {
		f.Filters = parseSave("iptables", "*filter\n:FORWARD ACCEPT [0:0]\n"+strings.Join(lines, "\n")+"\nCOMMIT\n", false)
	}
}

func portDamages() map[string]damage {
	return map[string]damage{
		"nothing":         {func(*Facts) {}, 0, nil},
		"nothing of port": {func(*Facts) {}, 8000, nil},
		"loopback only":   {func(f *Facts) { listen(f, "127.0.0.1:80") }, 8000, []string{"listens on 127.0.0.1:80 only … bind 0.0.0.0"}},
		"wrong port":      {func(f *Facts) { listen(f, "0.0.0.0:8080", "127.0.0.1:9") }, 8000, []string{"nobody in endpoint e1e1e1e1e1e1 listens on tcp port 80 … it listens on 8080: publish that, as 8000:8080"}},
		"nobody":          {func(f *Facts) { listen(f) }, 8000, []string{"nobody … docker logs"}},
		"IPv6 takes IPv4": {func(f *Facts) { listen(f, "[::]:80") }, 8000, nil},
		"another address": {func(f *Facts) { listen(f, "10.81.0.9:80") }, 8000, []string{"listens on 10.81.0.9:80, and not on its address 10.80.0.2"}},
		"not published":   {func(*Facts) {}, 8001, []string{"no container of gangway's networks publishes port 8001 … published are 8000/tcp"}},
		"for the host": {func(f *Facts) {
			f.State.Ports = f.State.Ports[:1]
			f.State.Ports[0].HostIP = netip.MustParseAddr("127.0.0.1")
		}, 8000, []string{"on 127.0.0.1 alone … publish it as 8000:PORT"}},
		"a dropping rule":  {filter("-A FORWARD -j GANGWAY-FORWARD", "-A DOCKER-USER -p tcp --dport 80 -j DROP"), 8000, []string{"iptables filter DOCKER-USER rule 1 drops … 8000/tcp … -p tcp --dport 80 -j DROP"}},
		"perhaps, unasked": {filter("-A FORWARD -s 1.2.3.4 -j DROP"), 0, nil},
		"perhaps, asked":   {filter("-A FORWARD -s 1.2.3.4 -j DROP"), 8000, []string{"iptables filter FORWARD rule 1 may drop"}},
		"a policy": {func(f *Facts) {
			f.Filters = []Base{{Name: "table inet filter chain forward", Hook: "forward", Four: true, Closed: true}}
		}, 0, []string{"table inet filter chain forward, whose policy is drop … docs/firewalls.md"}},
	}
}

func hostDamages() map[string]damage {
	return map[string]damage{
		"forwarding":       {func(f *Facts) { f.Host.Settings[forward4] = 0 }, 0, []string{"does not forward IPv4 … net.ipv4.ip_forward=1"}},
		"connection table": {func(f *Facts) { f.Host.Settings[flows] = 65000 }, 0, []string{"65000 of 65536 … nf_conntrack_max"}},
		"files":            {func(f *Facts) { f.State.Files = 1000 }, 0, []string{"1000 of 1024 files … LimitNOFILE"}},
		"a full bridge": {func(f *Facts) {
			for i := range 999 {
				f.Host.Links[fmt.Sprint("port", i)] = Link{Up: true, Master: "gw-a"}
			}
		}, 0, []string{"bridge gw-a has 1000 of 1023 ports"}},
		"a full network": {func(f *Facts) {
			f.State.Networks[0].Endpoints, f.State.Networks[0].Room = 15000, 16000
		}, 0, []string{"the network of bridge gw-a has 15000 of 16000 containers"}},
		"MTU":         {func(f *Facts) { f.Host.Links["eth0"] = Link{MTU: 1400, Up: true, Carrier: true} }, 0, []string{"MTU of 1500 and eth0, the way out, 1400 … mtu=1400"}},
		"bridge down": {func(f *Facts) { f.Host.Links["gw-a"] = Link{MTU: 1500} }, 0, []string{"bridge gw-a is missing or down"}},
		"link down":   {func(f *Facts) { f.Host.Links["gv-1"] = Link{MTU: 1500} }, 0, []string{"the host's end gv-1 of its link is down"}},
		"link gone":   {func(f *Facts) { f.State.Endpoints[0].HostInterface = "" }, 0, []string{"has no link any more … restart"}},
		"no answer":   {func(f *Facts) { f.Host.Neighbours[netip.MustParseAddr("10.80.0.2")] = Neighbour{Failed: true} }, 0, []string{"does not answer when the host asks who has 10.80.0.2 … paused"}},
		"duplicate": {func(f *Facts) {
			f.Host.Neighbours[netip.MustParseAddr("10.80.0.2")] = Neighbour{MAC: "02:00:00:00:00:09"}
		}, 0, []string{"10.80.0.2 is answered for by 02:00:00:00:00:09"}},
		"interface down": {within(func(c *Container) { c.Down["eth0"] = true }), 0, []string{"its interface eth0 is down"}},
		"address lost":   {within(func(c *Container) { c.Addresses = c.Addresses[:1] }), 0, []string{"has lost its address 10.80.0.2"}},
		"no route":       {within(func(c *Container) { c.Default4 = false }), 0, []string{"no default route for IPv4"}},
		"internal, no route": {func(f *Facts) {
			f.State.Networks[0].Internal = true
			within(func(c *Container) { c.Default4 = false })(f)
		}, 0, nil},
		"health": {func(f *Facts) {
			f.State.Health = []cause.Cause{cause.Of(cause.PortUnheld, "published port tcp 0.0.0.0:8000 is not held: in use by nginx (pid 7)")}
		}, 0, []string{"is not held: in use by nginx"}},
		"stopped":             {func(f *Facts) { f.State.Endpoints[0].Sandbox = "" }, 0, []string{"is in no container"}},
		"a range, unasked":    {func(f *Facts) { listen(f); f.State.Ports[0].Last, f.State.Ports[1].Last = 9000, 9000 }, 0, nil},
		"one of a range":      {func(f *Facts) { listen(f); f.State.Ports[0].Last, f.State.Ports[1].Last = 9000, 9000 }, 8010, []string{"nobody … listens on tcp port 90,"}},
		"nothing known of it": {func(f *Facts) { f.Containers, f.Host = nil, Host{} }, 8000, nil},
		"sockets unknown":     {within(func(c *Container) { c.Listeners, c.Unlisted = nil, map[string]bool{"tcp": true} }), 8000, nil},
		"the engine":          {func(f *Facts) { f.State.Engine = "nobody listens on /run/docker.sock" }, 0, []string{"the engine does not answer: nobody listens … systemctl status docker"}},
		"a full queue":        {within(func(c *Container) { c.Listeners[0].Waiting, c.Listeners[0].Queue = 129, 128 }), 0, []string{"accepts no connections at tcp port 80: 129 wait, and there is room for 129 … paused"}},
		"a bridge in a VRF": {func(f *Facts) {
			f.Host.Links["gw-a"] = Link{MTU: 1500, Up: true, Master: "vrf1"}
			f.Host.Ways[netip.MustParseAddr("10.80.0.2")] = Way{Link: "eth0"}
		}, 8000, nil},
	}
}

// TestJudge damages a healthy host: what is found names it, and its cure.
func TestJudge(t *testing.T) {
	all := portDamages()
	maps.Copy(all, hostDamages())
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			f := healthy()
			c.do(&f)
			got := Judge(f, Target{Port: c.port})
			if len(got) != len(c.want) {
				t.Fatalf("found %v, want %q", got, c.want)
			}
			for i, words := range c.want {
				for _, w := range strings.Split(words, " … ") {
					if !strings.Contains(got[i].String(), w) {
						t.Errorf("found %q, want %q in it", got[i], w)
					}
				}
				if got[i].Cure == "" || got[i].Text == "" {
					t.Errorf("%q has no cure", got[i])
				}
			}
		})
	}
}

func TestWords(t *testing.T) {
	if got := words(`-A X -m comment --comment "a \"b\" c" -j DROP`); !reflect.DeepEqual(got, []string{"-A", "X", "-m", "comment", "--comment", `a "b" c`, "-j", "DROP"}) {
		t.Errorf("words: %q", got)
	}
}
