package integration

import (
	"errors"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testPolicyStrict: of names that share an address an agent reaches those that it may, by what
// its connections say, from the host's address; no other name, no other protocol; and nothing
// while the daemon is down.
func testPolicyStrict(t *testing.T, e *harness.Engine) {
	e.LAN.Outside.Serve(t, "dns:registry.example=192.0.2.2;a.wild.example=192.0.2.2;other.example=192.0.2.2", "192.0.2.2:53",
		"tls", "192.0.2.2:8443", "udp", "192.0.2.2:8443", "tcp", "192.0.2.2:9000")
	options := []string{
		"-o", "gangway.egress=deny", "-o", "gangway.egress.allow=registry.example:8443,*.wild.example:8443,192.0.2.2:53",
	}
	e.Network(t, "n1", append(options, "--subnet", "10.85.0.0/24", "-o", "gangway.egress.names=strict")...)
	e.Network(t, "n2", append(options, "--subnet", "10.86.0.0/24")...)
	e.Sleep(t, harness.Container{Name: "agent", Network: "n1", Args: []string{"--dns", "192.0.2.2"}})
	e.Sleep(t, harness.Container{Name: "loose", Network: "n2", Args: []string{"--dns", "192.0.2.2"}})
	agent, loose := e.Inside("agent"), e.Inside("loose")
	try := func(p *harness.Prober, proto, addr string) bool {
		_, err := p.TryGet(proto, addr, "-timeout", "5s")
		return err == nil
	}
	// By address, everything that an address serves is reached: so the cases below can fail.
	for _, c := range [][2]string{{"tls", "registry.example:8443"}, {"tls:other.example", "registry.example:8443"}, {"udp", "registry.example:8443"}} {
		if !try(loose, c[0], c[1]) {
			t.Errorf("without strict names %s %s is not reached", c[0], c[1])
		}
	}
	if a := agent.Get(t, "tls", "registry.example:8443"); a.Client.Addr().String() != "192.0.2.1" {
		t.Errorf("the server sees %s", a.Client)
	}
	for _, c := range [][2]string{
		{"tls:other.example", "registry.example:8443"}, {"tls:a.wild.example", "registry.example:8443"}, {"tls", "192.0.2.2:8443"},
		{"tls", "other.example:8443"}, {"udp", "registry.example:8443"}, {"tcp", "registry.example:9000"},
	} {
		if try(agent, c[0], c[1]) {
			t.Errorf("the agent reaches %s %s", c[0], c[1])
		}
	}
	agent.Get(t, "tls", "a.wild.example:8443")
	if !try(agent, "tls:registry.example", "a.wild.example:8443") {
		t.Error("a name that was asked for is not reached by another one of its address")
	}
	harness.Eventually(t, "the connections that were refused", func() error {
		if list := e.Gangway(t, "drops", "--format", "{{.Network}} {{.Container}} {{.Reason}}"); !strings.Contains(list, "n1 agent policy") {
			return errors.New(list)
		}
		return nil
	})
	e.Refused(t, []string{"gangway.egress.names=strict", "has none"}, "network", "create", "-d", e.Driver, "-o", "gangway.egress=deny", "-o", "gangway.egress.names=strict", "n3")
	e.Refused(t, []string{"can never match", "TCP alone"}, "network", "create", "-d", e.Driver, "-o", "gangway.egress=deny", "-o", "gangway.egress.names=strict", "-o", "gangway.egress.allow=a.example:443/udp", "n3")
	e.Refused(t, []string{"did you mean strict?"}, "network", "create", "-d", e.Driver, "-o", "gangway.egress.names=strit", "n3")
	crash(t, e, func() {
		if try(agent, "tls:registry.example", "192.0.2.2:8443") {
			t.Error("while the daemon is down a connection passes")
		}
	})
	harness.Eventually(t, "names after a restart", func() error {
		if !try(agent, "tls", "registry.example:8443") || !try(agent, "tls", "a.wild.example:8443") {
			return errors.New("not reached")
		}
		return nil
	})
}
