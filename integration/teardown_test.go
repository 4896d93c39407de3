package integration

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// testRemoval: after the removal of everything, in whatever way it went, the
// host is as before. That is every scenario's end; here many things exist at
// once, and some end badly.
func testRemoval(t *testing.T, e *harness.Engine) {
	before := e.Snapshot(t)
	own := gangwayIPAM(e)
	e.Network(t, "n1", args(own, []string{"--subnet", "10.80.0.0/24"})...)
	e.Network(t, "n2", args(own, []string{"--ipv6", "--subnet", "10.80.1.0/24", "--subnet", "fd00:80::/64"})...)
	e.Network(t, "n3", "--internal", "--subnet", "10.80.2.0/24")
	for i, network := range []string{"n1", "n2", "n3"} {
		n := strconv.Itoa(i)
		e.Serve(t, harness.Container{Name: "c" + n, Network: network, Args: publish("800"+n+":80", "900"+n+":80/udp")}, "tcp", "0.0.0.0:80", "udp", "0.0.0.0:80")
	}
	e.Docker(t, "network", "connect", "n2", "c0")
	e.LAN.Outside.Serve(t, "tcp", "0.0.0.0:99", "udp", "0.0.0.0:99")
	for _, name := range []string{"c0", "c1"} {
		e.Inside(name).Get(t, "udp", "192.0.2.2:99")
		e.Inside(name).Get(t, "tcp", "192.0.2.2:99")
		e.Inside(name).Ping(t, "192.0.2.2")
	}
	for _, proto := range []string{"tcp 800", "udp 900"} {
		p, port, _ := strings.Cut(proto, " ")
		e.LAN.Outside.Get(t, p, "192.0.2.1:"+port+"0")
		e.LAN.Outside.Get(t, p, "[2001:db8::1]:"+port+"1")
		e.Get(t, p, "127.0.0.1:"+port+"1")
		e.Get(t, p, "[::1]:"+port+"0")
	}
	// One container dies, one is killed with its connection open, one is removed
	// while it runs.
	stream := e.LAN.Outside.Stream(t, "192.0.2.1:8001")
	e.Docker(t, "kill", "c0")
	e.Docker(t, "rm", "-f", "c0", "c1", "c2")
	stream.Broken(t)
	e.Docker(t, "network", "rm", "n1", "n2", "n3")
	e.Unchanged(t, before)
}

// testRestartGangway: connections through a published port survive a restart
// and a crash of the daemon, and what happens afterwards works as before.
func testRestartGangway(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", "10.81.0.0/24"})...)
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
	built := e.Snapshot(t)
	stream := e.LAN.Outside.Stream(t, "192.0.2.1:8000")
	for _, end := range []func(testing.TB){e.StopGangway, e.KillGangway} {
		end(t)
		from(t, "new connection without the daemon", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
		e.StartGangway(t)
		from(t, "new connection after the start", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
	}
	if longest := stream.Stop(t); longest > 5*time.Second {
		t.Errorf("traffic stood still for %s", longest)
	}
	delete(built, "flows") // the stream's own, and those of the questions above
	e.Unchanged(t, built)
	e.Serve(t, harness.Container{Name: "c2", Network: "n1", Args: publish("8002:80")}, "tcp", "0.0.0.0:80")
	from(t, "new container", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8002"), "c2", "192.0.2.2")
	by(t, "old and new container", e.Inside("c2").Get(t, "tcp", "c1:80"), "c1")
	if err := e.TryStart(t, harness.Container{Name: "c3", Network: "n1", Args: publish("8000:80")}, "true"); err == nil {
		t.Error("a port that was published before the restart was published twice")
	}
}

// testRestartEngine: networks survive a restart and a crash of the engine, and
// containers with a restart policy come back with their ports.
func testRestartEngine(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", "10.82.0.0/24"})...)
	c1 := harness.Container{Name: "c1", Network: "n1", Args: append(publish("8000:80"), "--restart", "always", "--ip", "10.82.0.10")}
	e.Serve(t, c1, "tcp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	for _, end := range []func(testing.TB){e.Stop, e.Kill} {
		end(t)
		e.StartEngine(t)
		harness.Eventually(t, "published port after the engine's restart", func() error {
			_, err := e.LAN.Outside.TryGet("tcp", "192.0.2.1:8000", "-timeout", "1s")
			return err
		})
		from(t, "published port", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
		e.Docker(t, "start", "c2")
		by(t, "by name", e.Inside("c2").Get(t, "tcp", "c1:80"), "c1")
		if got := e.Address(t, "c1", "n1"); got != "10.82.0.10" {
			t.Errorf("c1 has %s after the restart, want 10.82.0.10", got)
		}
		e.Docker(t, "kill", "c2")
	}
	if err := e.TryStart(t, harness.Container{Name: "c3", Network: "n1", Args: []string{"--ip", "10.82.0.10"}}, "true"); err == nil {
		t.Error("an address in use was given again after a restart")
	}
}

// testReboot: after a reboot, which leaves the files and nothing in the kernel
// and in /run, networks are there again, and containers with a restart policy
// come back by themselves with their addresses and ports.
func testReboot(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", args(gangwayIPAM(e), []string{"--subnet", "10.83.0.0/24"})...)
	always := append(publish("8000:80"), "--restart", "always", "--ip", "10.83.0.10")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: always}, "tcp", "0.0.0.0:80")
	reboot(t, e)
	startEngine(t, e, "rebooted", "10.83.0.10")
	warmUp(t, e)
	e.LAN.Outside.Serve(t, "tcp", "192.0.2.2:99")
	from(t, "container asks outside", e.Inside("c1").Get(t, "tcp", "192.0.2.2:99"), "outside", harness.LanIPv4)
	newContainer(t, e, "c2")
}

// reboot leaves of the host what a reboot does, with gangway running again and the
// engine not yet.
func reboot(t *testing.T, e *harness.Engine) {
	t.Helper()
	e.Kill(t)
	plain := e.Driver == string(harness.Daemon)
	if plain {
		e.KillGangway(t)
	}
	e.Run(t, "sh", "-c", `kill -9 $(pidof containerd-shim-runc-v2 containerd docker-init probe gangway) 2>/dev/null; true`)
	e.Run(t, "sh", "-c", `for bridge in /sys/class/net/gw-* /sys/class/net/br-*; do [ ! -e "$bridge" ] || ip link del "${bridge##*/}"; done`)
	for _, table := range []string{"filter", "nat", "raw"} {
		for _, tool := range []string{"iptables", "ip6tables"} {
			e.Run(t, tool, "-t", table, "-F")
			e.Run(t, tool, "-t", table, "-X")
		}
	}
	e.Run(t, "sh", "-c", "nft delete table inet gangway 2>/dev/null || true")
	// Forwarding is on, as by a file in /etc/sysctl.d: TestRouter has hosts where it is off.
	e.Run(t, "sh", "-c", "rm -rf /run/docker /run/containerd /run/docker.pid; echo 1 > /proc/sys/net/ipv4/ip_forward")
	if plain {
		e.StartGangway(t)
	}
}
