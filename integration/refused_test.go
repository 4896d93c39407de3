package integration

import (
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testRefused: bad input is a clear error that names the object, and nothing is
// left behind. The scenario's snapshot shows the latter.
func testRefused(t *testing.T, e *harness.Engine) {
	e.Run(t, "ip", "link", "add", "foreign0", "type", "bridge")
	t.Cleanup(func() { e.Run(t, "ip", "link", "del", "foreign0") })
	e.Run(t, "ip", "addr", "add", "10.99.0.1/24", "dev", "foreign0")
	e.Run(t, "ip", "link", "set", "foreign0", "up")
	own := gangwayIPAM(e)
	e.Network(t, "n1", args(own, []string{"--subnet", "10.77.0.0/24"})...)

	for _, c := range []struct {
		name  string
		words []string
		args  []string
	}{
		{"overlapping subnet", []string{"10.77.0.0/24", "10.77.0.128/25"}, args(own, []string{"--subnet", "10.77.0.128/25"})},
		{"subnet of the host", []string{"192.0.2.0/2"}, args(own, []string{"--subnet", "192.0.2.0/25"})},
		{"invalid MTU", []string{"mtu", "12"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.driver.mtu=12"}},
		{"MTU that is no number", []string{"mtu", "big"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.driver.mtu=big"}},
		{"unknown option", []string{"com.docker.network.driver.mtuu", "com.docker.network.driver.mtu"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.driver.mtuu=1400"}},
		{"option under another prefix", []string{"com.docker.network.mtu", "did you mean com.docker.network.driver.mtu"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.mtu=1400"}},
		{"option that has another name now", []string{"is named gangway.anti_spoofing"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.bridge.anti_spoofing=true"}},
		{"option of one container", []string{"com.docker.network.endpoint.sysctls", "--driver-opt"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"}},
		{"option of another driver", []string{"parent", "macvlan", "com.docker.network.bridge.name"}, []string{"--subnet", "10.77.1.0/24", "-o", "parent=eth0"}},
		{"option that is a flag", []string{"internal", "use --internal"}, []string{"--subnet", "10.77.1.0/24", "-o", "internal=true"}},
		{"option of the address manager", []string{"address manager option \"size\"", "--ipam-opt", "--subnet"}, args(own, []string{"--ipam-opt", "size=28"})},
		{"malformed option of the address manager", []string{"gangway.sticky", "maybe"}, args(own, []string{"--ipam-opt", "gangway.sticky=maybe"})},
		{"option of the address manager to the driver", []string{"gangway.sticky", "--ipam-opt"}, []string{"--subnet", "10.77.1.0/24", "-o", "gangway.sticky=false"}},
		{"malformed switch", []string{"enable_icc", "maybe"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.bridge.enable_icc=maybe"}},
		{"long bridge name", []string{"abcdefghijklmnop", "15"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.bridge.name=abcdefghijklmnop"}},
		{"bridge with a foreign address", []string{"foreign0", "10.99.0.1"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.bridge.name=foreign0"}},
		{"link that is no bridge", []string{"lan0"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.bridge.name=lan0"}},
		{"binding address", []string{"host_binding_ipv4", "300.0.0.1"}, []string{"--subnet", "10.77.1.0/24", "-o", "com.docker.network.bridge.host_binding_ipv4=300.0.0.1"}},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			e.Refused(t, c.words, args([]string{"network", "create", "-d", e.Driver}, c.args, []string{"bad"})...)
		})
	}
	t.Run("what-asks-for-nothing", func(t *testing.T) { // as Pterodactyl's Wings does
		e.Network(t, "wings", "--subnet", "10.77.1.0/24", "-o", "encryption=false", "-o", "com.docker.network.bridge.default_bridge=false",
			"-o", "com.docker.network.bridge.enable_icc=true", "-o", "com.docker.network.driver.mtu=1500")
	})
	t.Run("address-that-the-host-gets-and-gives-up", func(t *testing.T) {
		create := []string{"network", "create", "-d", e.Driver, "--subnet", "10.77.1.0/24", "late"}
		e.Run(t, "ip", "addr", "add", "10.77.1.9/24", "dev", "foreign0")
		e.Refused(t, []string{"10.77.1.9", "foreign0"}, create...)
		e.Run(t, "ip", "addr", "del", "10.77.1.9/24", "dev", "foreign0")
		e.Docker(t, create...)
		e.Docker(t, "network", "rm", "late")
	})
	refusedContainers(t, e)
}

// refusedContainers is the same for containers on the network n1.
func refusedContainers(t *testing.T, e *harness.Engine) {
	t.Helper()
	bridge := bridgeOf(t, e, "n1")
	bridgeMAC := strings.TrimSpace(e.Run(t, "cat", "/sys/class/net/"+bridge+"/address"))
	e.Sleep(t, harness.Container{Name: "first", Network: "n1", Args: []string{"--mac-address", "02:aa:bb:cc:dd:01"}})
	for _, c := range []struct {
		name  string
		words []string
		args  []string
	}{
		{"MAC address of the bridge", []string{bridgeMAC, bridge, "--mac-address"}, []string{"--mac-address", bridgeMAC}},
		{"MAC address of another container", []string{"02:aa:bb:cc:dd:01", "--mac-address"}, []string{"--mac-address", "02:aa:bb:cc:dd:01"}},
		{"MAC address of everybody", []string{"ff:ff:ff:ff:ff:ff"}, []string{"--mac-address", "ff:ff:ff:ff:ff:ff"}},
		{"broadcast address", []string{"10.77.0.255"}, []string{"--ip", "10.77.0.255"}},
		{"address outside the pool", []string{"10.78.0.5"}, []string{"--ip", "10.78.0.5"}},
		{"gateway's address", []string{"10.77.0.1"}, []string{"--ip", "10.77.0.1"}},
		{"host port of an address the host has not", []string{"198.51.100.1"}, publish("198.51.100.1:8000:80")},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
			t.Cleanup(func() { e.Docker(t, "rm", "-f", "bad") })
			e.Refused(t, c.words, args([]string{"run", "-d", "--name", "bad", "--network", "n1"}, c.args, []string{harness.Image, "true"})...)
		})
	}
}
