package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// plant is one cause of "the port does not answer", and what the doctor says of it.
type plant struct {
	// ask are the doctor's arguments.
	ask string
	// do and undo are done on the engine's host.
	do, undo string
	// words are in what it says.
	words []string
}

// testDoctor: each planted cause is named with its cure, and by exit code 1. Where
// nothing is wrong nothing is found.
func testDoctor(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--subnet", "10.92.0.0/24")
	serve := func(name, ports, at string) {
		e.Serve(t, harness.Container{Name: name, Network: "n1", Args: publish(ports)}, "tcp", at)
	}
	serve("good", "8000:80", "0.0.0.0:80")
	diagnose := func(args ...string) (string, error) { return e.TryGangway(append([]string{"doctor"}, args...)...) }
	if out, err := diagnose(); err != nil || !strings.Contains(out, "found nothing wrong") {
		t.Fatalf("of a host where all is well: %v\n%s", err, out)
	}
	serve("loopback", "8001:80", "127.0.0.1:80")
	serve("elsewhere", "8002:81", "0.0.0.0:80")
	serve("local", "127.0.0.1:8003:80", "0.0.0.0:80")
	e.Run(t, "ip", "addr", "add", "192.0.2.50/24", "dev", "lan0")
	serve("moved", "192.0.2.50:8005:80", "0.0.0.0:80")
	e.Run(t, "ip", "addr", "del", "192.0.2.50/24", "dev", "lan0")
	e.Sleep(t, harness.Container{Name: "idle", Network: "n1", Args: publish("8004:80")})

	known(t, e, "good", "loopback", "elsewhere", "local", "idle", "moved")
	if out, err := diagnose("8000", "--client", "192.0.2.2"); err != nil || strings.Contains(out, "not looked at") {
		t.Errorf("of a port where all is well: %v\n%s", err, out)
	}
	inside := func(container, command string) string {
		return fmt.Sprintf("nsenter --net=%s sh -ec %q", e.Docker(t, "inspect", "--format", "{{.NetworkSettings.SandboxKey}}", container), command)
	}
	address := e.Address(t, "good", "n1")
	bridge := "gw-" + e.Docker(t, "network", "inspect", "--format", "{{.Id}}", "n1")[:12]
	for _, p := range append(plants(address, inside), hostPlants(address, bridge)...) {
		if p.do != "" {
			e.Run(t, "sh", "-ec", p.do)
		}
		args := strings.Fields(p.ask)
		out, err := diagnose(args...)
		if err == nil {
			t.Errorf("doctor %s after %q says that all is well:\n%s", p.ask, p.do, out)
		} else {
			out += err.Error()
		}
		for _, w := range p.words {
			if !strings.Contains(out, w) {
				t.Errorf("doctor %s after %q: no %q in\n%s", p.ask, p.do, w, out)
			}
		}
		if p.undo == "" {
			continue
		}
		e.Run(t, "sh", "-ec", p.undo)
		harness.Eventually(t, "all is well after "+p.undo, func() error {
			_, err := diagnose("8000")
			return err
		})
	}
	by(t, "the port in the end", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "good")
}

// plants are the causes, for a container "good" of that address; inside gives the command
// that runs another in a container's network namespace.
func plants(address string, inside func(container, command string) string) []plant {
	return []plant{
		{ask: "8001", words: []string{"loopback", "127.0.0.1:80 only", "bind 0.0.0.0"}},
		{ask: "8002/tcp", words: []string{"elsewhere", "port 81", "it listens on 80", "8002:80"}},
		{ask: "8003", words: []string{"127.0.0.1 alone"}},
		{ask: "8004", words: []string{"nobody in", "idle", "docker logs"}},
		{ask: "idle", words: []string{"nobody in", "idle"}},
		{ask: "8009", words: []string{"no container", "8009", "8000/tcp"}},
		{ask: "8000", do: "iptables -I DOCKER-USER -p tcp --dport 80 -j DROP", undo: "iptables -D DOCKER-USER 1",
			words: []string{"filter DOCKER-USER rule 1 drops", "-p tcp -m tcp --dport 80 -j DROP"}},
		{ask: "8000", do: "iptables -t raw -I PREROUTING -p tcp --dport 8000 -j DROP", undo: "iptables -t raw -D PREROUTING 1",
			words: []string{"raw PREROUTING rule 1 drops"}},
		{ask: "good", do: "nft add table inet other; nft 'add chain inet other forward { type filter hook forward priority 0; policy drop; }'",
			undo: "nft delete table inet other", words: []string{"table inet other chain forward, whose policy is drop"}},
		{ask: "good", do: "nft add table inet other; nft 'add chain inet other pre { type filter hook prerouting priority -150; }'; nft add rule inet other pre tcp dport { 22, 8000 } counter drop",
			undo: "nft delete table inet other", words: []string{"table inet other chain pre rule 1", "drops"}},
		{ask: "good", do: inside("good", "ip link set eth0 down"), undo: inside("good", "ip link set eth0 up") + "; " + inside("good", "ip route add default via 10.92.0.1"),
			words: []string{"good", "interface eth0 is down"}},
		{ask: "8000", do: inside("good", "nft add table inet fw; nft 'add chain inet fw in { type filter hook input priority 0; policy drop; }'"),
			undo: inside("good", "nft delete table inet fw"), words: []string{"in container good, table inet fw chain in, whose policy is drop, drops"}},
		{ask: "good", do: inside("good", "ip route del default"), undo: inside("good", "ip route add default via 10.92.0.1"),
			words: []string{"good", "no default route for IPv4"}},
		{ask: "good", do: inside("good", "ip addr del "+address+"/24 dev eth0"),
			undo:  inside("good", "ip addr add "+address+"/24 dev eth0") + "; " + inside("good", "ip route replace default via 10.92.0.1"),
			words: []string{"good", "lost its address " + address}},
		{do: "ip route add default via 192.0.2.2; ip link set lan0 mtu 1400", undo: "ip link set lan0 mtu 1500; ip route del default",
			words: []string{"lan0", "1400", "driver.mtu=1400"}},
	}
}

// hostPlants are causes on the host, for a container "good" of that address behind a bridge.
func hostPlants(address, bridge string) []plant {
	const daemon = "p=$(pidof -s gangway); "
	return []plant{
		{ask: "8005", words: []string{"host port 8005/tcp is published at 192.0.2.50, which is no address of this host"}},
		{ask: "8000", do: "ip route add " + address + "/32 dev lan0", undo: "ip route del " + address + "/32 dev lan0",
			words: []string{"way to " + address, "leads by lan0, and not by bridge " + bridge}},
		{ask: "8000", do: "echo 0 >/proc/sys/net/ipv4/conf/lan0/forwarding", undo: "echo 1 >/proc/sys/net/ipv4/conf/lan0/forwarding",
			words: []string{"lan0 does not forward IPv4", "net.ipv4.conf.lan0.forwarding=1"}},
		{ask: "8000", do: "iptables -t nat -I PREROUTING -p tcp --dport 8000 -j DNAT --to-destination 192.0.2.99:80", undo: "iptables -t nat -D PREROUTING 1",
			words: []string{"nat PREROUTING rule 1 leads elsewhere", "192.0.2.99:80"}},
		{ask: "8000", do: "nft add table ip6 other; nft 'add chain ip6 other in { type filter hook input priority 0; }'; nft add rule ip6 other in tcp dport 8000 drop",
			undo: "nft delete table ip6 other", words: []string{"table ip6 other chain in rule 1", "drops what comes for host port 8000/tcp"}},
		{ask: "8000", do: "nft add table bridge other; nft 'add chain bridge other out { type filter hook output priority 0; }'; nft add rule bridge other out ip daddr " + address + " drop",
			undo: "nft delete table bridge other", words: []string{"table bridge other chain out rule 1", "drops"}},
		{ask: "8000 --client 198.51.100.9", words: []string{"no way to 198.51.100.9", "default route"}},
		{ask: "8000 --client 192.0.2.2", do: "ip rule add iif " + bridge + " lookup 100; ip route add unreachable default table 100",
			undo: "ip rule del iif " + bridge + "; ip route flush table 100", words: []string{"answers of container good to 192.0.2.2 go nowhere"}},
		{ask: "good", do: "docker pause good >/dev/null; timeout 5 bash -c 'exec 3<>/dev/tcp/" + address + "/80'", undo: "docker unpause good >/dev/null",
			words: []string{"good accepts no connections at tcp port 80", "paused"}},
		{ask: "good", do: daemon + "n=$(ls /proc/$p/fd | wc -l); prlimit --pid $p --nofile=$((n + 4)):", undo: daemon + "prlimit --pid $p --nofile=$(prlimit --pid $p --nofile -o HARD --noheadings):",
			words: []string{"files open", "LimitNOFILE"}},
	}
}
