package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// leased is what "gangway addresses --json" tells of an address of a LAN's DHCP server.
type leased struct {
	Address string `json:"address"`
	Lease   *struct {
		State, Server, Link, MAC, Name, Lost string
		Until                                time.Time
	} `json:"lease"`
}

// onDHCP are the arguments for a network whose addresses are the LAN's server's.
func onDHCP(e *harness.Engine, options ...string) []string {
	return args(gangwayIPAM(e), []string{"--ipam-opt", "gangway.dhcp=lan1", "-o", "gangway.uplink=lan1"}, options)
}

const macOne, macTwo = "02:aa:bb:cc:dd:01", "02:aa:bb:cc:dd:02"

// testDHCP: a network takes subnet, router and addresses from the LAN's DHCP server, with the name of
// each container; the same hardware address has the same address, over restarts of container, daemon
// and engine. While the server is away nothing that runs ends, and what starts is refused in time.
func testDHCP(t *testing.T, e *harness.Engine) {
	router := e.LAN.Outside
	// The host has two links on the LAN, and so hears by one what is asked by the other.
	t.Cleanup(func() {
		router.Run(t, "ip", "neigh", "flush", "dev", "lan0")
		e.Run(t, "sh", "-c", "for p in 67 68; do conntrack -D -p udp --orig-port-dst $p; done; true")
	})
	e.LAN.Cable(t, e.Node, "lan1")
	lanAddress(t, router, "lan0", "10.85.0.1/24")
	server := router.DHCP(t, "10.85.0.100", "10.85.0.150", "--dhcp-host="+macTwo+",10.85.0.7")
	dhcpRefuses(t, e)

	e.Network(t, "n1", onDHCP(e)...)
	if got := e.Docker(t, "network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}}{{end}}", "n1"); got != "10.85.0.0/24 10.85.0.1" {
		t.Errorf("the network is %s", got)
	}
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"--mac-address", macOne}}, "tcp", "0.0.0.0:80")
	four := e.Address(t, "c1", "n1")
	reached := func(when string) {
		t.Helper()
		from(t, when, router.Get(t, "tcp", four+":80"), "c1", "10.85.0.1")
		if got := server.Leased(t, macOne); !strings.HasPrefix(got, four+" ") {
			t.Errorf("%s: leased %q, the container has %s", when, got, four)
		}
	}
	reached("at first")
	harness.Eventually(t, "the container's name in the lease", func() error {
		if got := server.Leased(t, macOne); got != four+" c1" {
			return fmt.Errorf("leased %q", got)
		}
		return nil
	})
	dhcpShown(t, e, four)
	e.Serve(t, harness.Container{Name: "c2", Network: "n1", Args: []string{"--mac-address", macTwo}}, "tcp", "0.0.0.0:80")
	if got := e.Address(t, "c2", "n1"); got != "10.85.0.7" {
		t.Errorf("c2 has %s, and 10.85.0.7 is reserved for it", got)
	}
	from(t, "within", e.Inside("c1").Get(t, "tcp", "10.85.0.7:80"), "c2", four)

	e.Docker(t, "restart", "-t", "0", "c1")
	e.Serving(t, "c1")
	reached("after a restart of the container")
	dhcpAway(t, e, server, reached)
	e.Restart(t)
	e.Docker(t, "start", "c1")
	e.Serving(t, "c1")
	reached("after a restart of the engine")

	e.Docker(t, "rm", "-f", "c1", "c2")
	harness.Eventually(t, "the leases are given back", func() error {
		if got := server.Leased(t, macOne) + server.Leased(t, macTwo); got != "" {
			return fmt.Errorf("leased: %s", got)
		}
		return nil
	})
	e.Docker(t, "network", "rm", "n1")
	dhcpStatic(t, e)
}

// dhcpShown: gangway addresses tells of the lease.
func dhcpShown(t *testing.T, e *harness.Engine, four string) {
	t.Helper()
	harness.Eventually(t, "the lease in gangway addresses", func() error {
		var all []leased
		e.GangwayJSON(t, &all, "addresses", "n1")
		for _, a := range all {
			if a.Address != four || a.Lease == nil {
				continue
			}
			l := *a.Lease
			if l.State != "bound" || l.Server != "10.85.0.1" || l.Link != "lan1" || l.MAC != macOne || l.Name != "c1" || time.Until(l.Until) < 50*time.Minute {
				return fmt.Errorf("%+v", l)
			}
			return nil
		}
		return fmt.Errorf("no lease in %+v", all)
	})
}

// dhcpAway: while the server is away, containers and daemon go on, and none starts.
func dhcpAway(t *testing.T, e *harness.Engine, server *harness.DHCPServer, reached func(string)) {
	t.Helper()
	server.Stop(t)
	crash(t, e)
	reached("without the server, after a restart of the daemon")
	begun := time.Now()
	err := e.TryStart(t, harness.Container{Name: "late", Network: "n1"}, "true")
	if err == nil || !strings.Contains(err.Error(), "no DHCP server answers at lan1") {
		t.Errorf("without a server: %v", err)
	}
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("refused after %s", took)
	}
	reached("without the server")
	server.Start(t)
	e.Docker(t, "rm", "-f", "late")
	e.Sleep(t, harness.Container{Name: "late", Network: "n1"})
	e.Docker(t, "rm", "-f", "late")
}

// dhcpStatic: the server is asked for an address that the user names.
func dhcpStatic(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Network(t, "n1", onDHCP(e, "--subnet", "10.85.0.0/24")...)
	e.Sleep(t, harness.Container{Name: "c3", Network: "n1", Args: []string{"--ip", "10.85.0.123"}})
	if got := e.Address(t, "c3", "n1"); got != "10.85.0.123" {
		t.Errorf("c3 has %s", got)
	}
	err := e.TryStart(t, harness.Container{Name: "c4", Network: "n1", Args: []string{"--ip", "10.85.0.200"}}, "true")
	if err == nil || !strings.Contains(err.Error(), "and not 10.85.0.200") {
		t.Errorf("an address that the server does not grant: %v", err)
	}
}

// dhcpRefuses: what contradicts itself, or the LAN, is refused by name.
func dhcpRefuses(t *testing.T, e *harness.Engine) {
	t.Helper()
	for _, c := range []struct {
		words []string
		args  []string
	}{
		{[]string{"10.85.0.0/16", "the LAN of lan1 is 10.85.0.0/24"}, onDHCP(e, "--subnet", "10.85.0.0/16")},
		{[]string{"gangway.dhcp", "--ip-range"}, onDHCP(e, "--subnet", "10.85.0.0/24", "--ip-range", "10.85.0.128/25")},
		{[]string{"gangway.dhcp", "gangway.uplink=lan1"}, args(gangwayIPAM(e), []string{"--ipam-opt", "gangway.dhcp=lan1"})},
		{[]string{"gangway.dhcp", "no link of that name"}, args(gangwayIPAM(e), []string{"--ipam-opt", "gangway.dhcp=lan9", "-o", "gangway.uplink=lan9"})},
	} {
		e.Refused(t, c.words, append(append([]string{"network", "create", "-d", e.Driver}, c.args...), "nx")...)
	}
	if got := e.Run(t, "ip", "-o", "link", "show", "lan1"); strings.Contains(got, ",UP") {
		t.Errorf("the link is up after the questions: %s", got)
	}
}
