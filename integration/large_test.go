package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
	"github.com/gangway-net/gangway/integration/testkit"
)

// fillFirst takes the places of a network's first bridge, but for one, by endpoints that the engine does not know. It returns the network's id,
// and what gives them back.
func fillFirst(t *testing.T, e *harness.Engine, network, subnet string) (id string, empty func()) {
	t.Helper()
	id = strings.TrimSpace(e.Docker(t, "network", "inspect", "-f", "{{.Id}}", network))
	client := testkit.UnixClient(e.Path(harness.PluginSocket), time.Minute)
	call := func(op, body string) {
		t.Helper()
		if status, answer, err := testkit.Call(client, "NetworkDriver."+op, body); err != nil || status != 200 {
			t.Fatalf("%s %s: %d %s %v", op, body, status, answer, err)
		}
	}
	const places = 999
	for i := range places {
		call("CreateEndpoint", fmt.Sprintf(`{"NetworkID":%q,"EndpointID":"%064d","Interface":{"Address":"%s.%d.%d/16"},"Options":{}}`, id, i, subnet, 100+i/200, 1+i%200))
	}
	return id, func() {
		for i := range places {
			call("DeleteEndpoint", fmt.Sprintf(`{"NetworkID":%q,"EndpointID":"%064d"}`, id, i))
		}
	}
}

// testLarge: on a network of more than 1000 containers these reach each other, the host, what is outside, and published
// ports, whichever bridge they are on; a restart moves nobody, and a bridge that is empty goes. Most of the containers are
// endpoints that the engine does not know, which take places.
func testLarge(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.77.0.0/16")
	e.Serve(t, harness.Container{Name: "c0", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	id, empty := fillFirst(t, e, "n1", "10.77")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8001:80")}, "tcp", "0.0.0.0:80")
	e.Serve(t, harness.Container{Name: "c2", Network: "n1", Args: publish("8002:80")}, "tcp", "0.0.0.0:80")
	further := "gw-" + id[:9] + "-2"
	if got := e.Gangway(t, "networks", "--json"); !strings.Contains(got, further) || !strings.Contains(got, `"room": 16000`) {
		t.Errorf("gangway networks: %s", got)
	}
	e.LAN.Outside.Serve(t, "tcp", "192.0.2.2:99")
	bridged := func(value string) string {
		return "for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo " + value + " >$f; done"
	}
	t.Cleanup(func() { e.Run(t, "sh", "-c", bridged("1")) })
	all := []string{"c0", "c1", "c2"}
	reach := func(when string) {
		t.Helper()
		if ports := e.Run(t, "ip", "-o", "link", "show", "master", further); strings.Count(ports, "gv-") != 2 {
			t.Errorf("%s: ports of %s: %s", when, further, ports)
		}
		for _, from := range all {
			for i, to := range all {
				if from != to {
					by(t, when+": "+from+" asks "+to, e.Inside(from).Get(t, "tcp", e.Address(t, to, "n1")+":80"), to)
				}
				by(t, when+": "+from+" asks the port of "+to, e.Inside(from).Get(t, "tcp", fmt.Sprintf("%s:800%d", harness.LanIPv4, i)), to)
			}
			by(t, when+": "+from+" asks outside", e.Inside(from).Get(t, "tcp", "192.0.2.2:99"), "outside")
		}
		for i, to := range all {
			by(t, when+": outside asks "+to, e.LAN.Outside.Get(t, "tcp", fmt.Sprintf("%s:800%d", harness.LanIPv4, i)), to)
			by(t, when+": the host asks "+to, e.Get(t, "tcp", e.Address(t, to, "n1")+":80"), to)
		}
	}
	for _, value := range []string{"0", "1"} {
		e.Run(t, "sh", "-c", bridged(value))
		reach("br_netfilter=" + value)
	}
	e.KillGangway(t)
	e.StartGangway(t)
	reach("after a restart")
	e.Docker(t, "rm", "-f", "c1", "c2")
	if got := e.Run(t, "ip", "-o", "link", "show", "type", "bridge"); strings.Contains(got, further) {
		t.Errorf("the further bridge is there without a container: %s", got)
	}
	empty()
}

// testLargeGateway: containers on a further bridge, whose gateway is there as well, reach the world through its tunnel alone, and
// nothing of the host; nothing of theirs leaves while it is killed.
func testLargeGateway(t *testing.T, e *harness.Engine) {
	theWorld(t, e, "10.88.0.0/16")
	e.Host.Serve(t, "udp", "0.0.0.0:53", "tcp", "[::]:98")
	e.Network(t, "n1", "--subnet", "10.88.0.0/16", "--gateway", "10.88.0.1", "--ip-range", "10.88.1.0/24", "-o", "gangway.gateway=10.88.0.5")
	e.Serve(t, harness.Container{Name: "c0", Network: "n1", Args: []string{"--dns", world4}}, "tcp", "[::]:80")
	id, empty := fillFirst(t, e, "n1", "10.88")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"--dns", world4}}, "tcp", "[::]:80")
	vpnContainer(t, e, "gw", "n1", "--ip", "10.88.0.5", "--dns", world4)
	if ports := e.Run(t, "ip", "-o", "link", "show", "master", "gw-"+id[:9]+"-2"); strings.Count(ports, "gv-") != 2 {
		t.Errorf("ports of the further bridge: %s", ports)
	}
	h := hidden{t, e, e.Address(t, "c1", "n1")}
	h.through("with a gateway")
	by(t, "c1 asks c0", e.Inside("c1").Get(t, "tcp", e.Address(t, "c0", "n1")+":80"), "c0")
	by(t, "the host asks itself", e.Get(t, "tcp", "10.88.0.1:98"), e.Name)
	for _, host := range []string{"10.88.0.1", harness.LanIPv4} {
		e.Inside("c1").Unreachable(t, "tcp", host+":98")
		e.Inside("c1").Unreachable(t, "udp", host+":53")
	}
	h.dry("with a gateway")
	e.Docker(t, "kill", "gw")
	h.closed("while it is killed")
	e.Docker(t, "start", "gw")
	h.through("started again")
	// The same without a gateway: the counter counts.
	by(t, "the host asks the world", e.Get(t, "tcp", world4+":99"), "outside")
	if got := came(t, e, "lan"); got == 0 {
		t.Error("the counter at the LAN has nothing of who is not behind the gateway")
	}
	e.Docker(t, "rm", "-f", "c1", "gw")
	empty()
	e.Run(t, "sh", "-c", "conntrack -D -s 10.88.0.0/16; conntrack -D -d 198.51.100.7; true")
}
