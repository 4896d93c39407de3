package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/harness"
)

// emptyState is what becomes of gangway: it ends, and comes back without a state.
func emptyState(t *testing.T, e *harness.Engine, env ...string) {
	t.Helper()
	if e.Driver == string(harness.Managed) {
		e.ReinstallPlugin(t)
		return
	}
	e.KillGangway(t)
	e.Run(t, "sh", "-c", "rm /var/lib/gangway/*")
	e.StartGangway(t, env...)
}

// testUnclaimed: gangway comes back without any state beside running containers. Their
// traffic goes on, new connections to published ports are possible soon, status says
// what is missing until then, and later calls find everything.
func testUnclaimed(t *testing.T, e *harness.Engine) {
	stop := lostBeside(t, e)
	links := e.Links(t)
	emptyState(t, e)
	regained(t, e)
	if now := e.Links(t); len(now) != len(links) {
		t.Errorf("links %v, want those of %v", now, links)
	}
	stop(t)
	answersFromOutside(t, e)
	e.Docker(t, "restart", "-t", "1", "c1")
	e.Serving(t, "c1")
	answersFromOutside(t, e)
	// An address of a container that was taken back is nobody else's.
	e.Serve(t, harness.Container{Name: "c3", Network: "n2"}, "tcp", "0.0.0.0:80")
	if a, b := e.Address(t, "c3", "n2"), e.Address(t, "c2", "n2"); a == b {
		t.Errorf("c2 and c3 have the address %s", a)
	}
	by(t, "c2 asks c3", e.Inside("c2").Get(t, "tcp", e.Address(t, "c3", "n2")+":80"), "c3")
	if e.Driver == string(harness.Daemon) {
		lostNetworks(t, e)
	}
	e.Docker(t, "rm", "-f", "c1", "c2", "c3")
	e.Docker(t, "network", "rm", "n1", "n2", "n3")
	if left := kept(t, e); len(left) != 0 {
		t.Errorf("networks %+v are left", left)
	}
}

// lostNetworks: the file with the networks is lost, and that of this boot is not. A port
// that was left to gangway to choose stays the same.
func lostNetworks(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Serve(t, harness.Container{Name: "c4", Network: "n1", Args: publish("80")}, "tcp", "[::]:80")
	id := e.Docker(t, "inspect", "-f", "{{.NetworkSettings.Networks.n1.EndpointID}}", "c4")
	port := func() (first uint16) {
		var ports []driver.PortStatus
		e.GangwayJSON(t, &ports, "ports")
		for _, p := range ports {
			if p.EndpointID == id {
				first = p.First
			}
		}
		return first
	}
	before := port()
	e.KillGangway(t)
	e.Run(t, "rm", "/var/lib/gangway/gangway.db")
	e.StartGangway(t)
	regained(t, e)
	if now := port(); now != before || before == 0 {
		t.Errorf("c4 has port %d, had %d", now, before)
	}
	answersFromOutside(t, e)
	by(t, "a port that was chosen", e.LAN.Outside.Get(t, "tcp", fmt.Sprintf("192.0.2.1:%d", before)), "c4")
	e.Docker(t, "rm", "-f", "c4")
}

// testUnclaimedOff: nothing is removed where no engine is asked, and status says what
// to do. Once one is asked it is settled.
func testUnclaimedOff(t *testing.T, e *harness.Engine) {
	stop := lostBeside(t, e)
	links := e.Links(t)
	emptyState(t, e, "GANGWAY_ENGINE=off")
	checks := func() (s struct{ Checks, Repairs uint64 }) {
		out, _ := e.TryGangway("status", "--json") // fails as long as it is not ok
		if err := json.Unmarshal([]byte(out), &s); err != nil {
			t.Fatalf("%v in:\n%s", err, out)
		}
		return s
	}
	first := checks()
	harness.Eventually(t, "two more checks", func() error {
		if now := checks(); now.Checks < first.Checks+2 {
			return fmt.Errorf("%d checks", now.Checks)
		}
		return nil
	})
	if now := checks(); now.Repairs != 0 {
		t.Errorf("%d repairs", now.Repairs)
	}
	out, err := e.TryGangway("status")
	if err == nil || !strings.Contains(out, "degraded") || !strings.Contains(out, "GANGWAY_ENGINE is off") {
		t.Errorf("status:\n%s\n%v", out, err)
	}
	if now := e.Links(t); len(now) != len(links) {
		t.Errorf("links %v, want those of %v", now, links)
	}
	answersByNAT(t, e)
	// The network that is the only known one takes nothing along that others use.
	e.Network(t, "n4", "--subnet", "10.89.4.0/24")
	e.Docker(t, "network", "rm", "n4")
	e.LAN.Outside.Serve(t, "tcp", "0.0.0.0:99")
	from(t, "c1 asks outside", e.Inside("c1").Get(t, "tcp", "192.0.2.2:99"), "outside", harness.LanIPv4)
	e.KillGangway(t)
	e.StartGangway(t)
	regained(t, e)
	stop(t)
	answersFromOutside(t, e)
	e.Docker(t, "rm", "-f", "c1", "c2")
	e.Docker(t, "network", "rm", "n1", "n2", "n3")
}

// lostBeside starts containers on networks of both address managers, one of them on
// two, and traffic of theirs that has to go on.
func lostBeside(t *testing.T, e *harness.Engine) (stop func(t *testing.T)) {
	t.Helper()
	e.Network(t, "n1", "--subnet", "10.89.0.0/24", "--ipv6", "--subnet", "fd89::/64", "-o", "com.docker.network.driver.mtu=1400")
	e.Network(t, "n2", args(gangwayIPAM(e), []string{"--subnet", "10.89.1.0/24", "--ip-range", "10.89.1.64/26"})...)
	e.Network(t, "n3", "--internal", "--subnet", "10.89.2.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8001:80", "8001:80/udp", "9000-9009:9000-9009")},
		"tcp", "[::]:80", "udp", "[::]:80", "tcp", "[::]:9005")
	e.Serve(t, harness.Container{Name: "c2", Network: "n2", Args: publish("127.0.0.1:8002:80")}, "tcp", "0.0.0.0:80")
	e.Docker(t, "network", "connect", "n3", "c2")
	answersFromOutside(t, e)
	stream := e.LAN.Outside.Stream(t, "192.0.2.1:8001")
	return func(t *testing.T) {
		t.Helper()
		t.Logf("longest pause of a connection: %s", stream.Stop(t))
	}
}

func answersByNAT(t *testing.T, e *harness.Engine) {
	t.Helper()
	by(t, "a port", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8001"), "c1")
	by(t, "a UDP port", e.LAN.Outside.Get(t, "udp", "192.0.2.1:8001"), "c1")
	by(t, "a port of a range", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:9005"), "c1")
	by(t, "an IPv6 port", e.LAN.Outside.Get(t, "tcp", "[2001:db8::1]:8001"), "c1")
	by(t, "a port of the host alone", e.Get(t, "tcp", "127.0.0.1:8002"), "c2")
}

func answersFromOutside(t *testing.T, e *harness.Engine) {
	t.Helper()
	answersByNAT(t, e)
	by(t, "a relayed port", e.Get(t, "tcp", "[::1]:8001"), "c1")
}

// regained waits until everything is known again, and compares it with what the engine
// has.
func regained(t *testing.T, e *harness.Engine) {
	t.Helper()
	began := time.Now()
	harness.Eventually(t, "all is known again", func() error {
		out, err := e.TryGangway("health")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	t.Logf("all is known %s after gangway was ready", time.Since(began).Round(10*time.Millisecond))
	var ids []string
	for _, n := range kept(t, e) {
		ids = append(ids, n.ID)
		if n.Engine == "" {
			t.Errorf("network %s is no engine's", n.ID)
		}
	}
	want := strings.Fields(e.Docker(t, "network", "inspect", "-f", "{{.Id}}", "n1", "n2", "n3"))
	slices.Sort(ids)
	slices.Sort(want)
	if !slices.Equal(ids, want) {
		t.Errorf("networks %v, want %v", ids, want)
	}
}
