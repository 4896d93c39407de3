package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// askServer has the engine's host ask one server of names until the end of the test. It takes
// effect with the next container, and for the daemon within a second.
func askServer(t *testing.T, e *harness.Engine, server string) {
	t.Helper()
	const file = "/etc/resolv.conf"
	before := e.Run(t, "cat", file)
	// The file is written in its place: the managed plugin has it as a mount of its own.
	e.Run(t, "sh", "-c", fmt.Sprintf("echo nameserver %s >%s", server, file))
	t.Cleanup(func() { e.Run(t, "sh", "-c", fmt.Sprintf("echo '%s' >%s", before, file)) })
}

// testPolicyHostNames: the host asks a server on its own loopback, so the engine asks in the
// host's name, and nobody sees which container has asked. What a name stands for alone is open
// nevertheless, and follows what the server says. *.NAME opens nothing so, and doctor says what
// to do; a container that asks the gateway reaches what it allows.
func testPolicyHostNames(t *testing.T, e *harness.Engine) {
	e.LAN.Outside.Run(t, "ip", "addr", "add", "192.0.2.7/24", "dev", "lan0")
	t.Cleanup(func() { e.LAN.Outside.Run(t, "ip", "addr", "del", "192.0.2.7/24", "dev", "lan0") })
	e.LAN.Outside.Serve(t, "tcp", "192.0.2.2:8443", "tcp", "192.0.2.7:8443", "tcp", "192.0.2.2:9000")
	const rest = ";other.example=192.0.2.7;late.wild.example=192.0.2.7"
	e.Host.Serve(t, "dns:registry.example=192.0.2.2@5"+rest, "127.0.0.53:53", "dns:registry.example=192.0.2.7@5"+rest, "127.0.0.54:53")
	askServer(t, e, "127.0.0.53")
	options := []string{"--subnet", "10.84.0.0/24", "-o", "gangway.egress=deny", "-o", "gangway.egress.allow=registry.example:8443,*.wild.example:8443"}
	e.Network(t, "n1", options...)
	e.Sleep(t, harness.Container{Name: "agent", Network: "n1"})
	agent := e.Inside("agent")
	reached := func(p *harness.Prober, addr, client string) error {
		a, err := p.TryGet("tcp", addr, "-timeout", "5s")
		if err == nil && a.Local.String() != client {
			return fmt.Errorf("answered at %s", a.Local)
		}
		return err
	}
	harness.Eventually(t, "the name that the daemon asks for", func() error { return reached(agent, "registry.example:8443", "192.0.2.2:8443") })
	for _, no := range []string{"registry.example:9000", "192.0.2.7:8443", "other.example:8443", "late.wild.example:8443"} {
		if _, err := agent.TryGet("tcp", no, "-timeout", "5s"); err == nil {
			t.Errorf("the agent reaches %s", no)
		}
	}
	e.Sleep(t, harness.Container{Name: "asker", Network: "n1", Args: []string{"--dns", "10.84.0.1"}})
	if err := reached(e.Inside("asker"), "late.wild.example:8443", "192.0.2.7:8443"); err != nil {
		t.Errorf("a container that asks the gateway: %v", err)
	}
	if _, err := agent.TryGet("tcp", "192.0.2.7:8443", "-timeout", "5s"); err == nil {
		t.Error("what one container has learned is open for another one")
	}
	// The name has another address by now, and a container that is new is told so.
	askServer(t, e, "127.0.0.54")
	e.Sleep(t, harness.Container{Name: "second", Network: "n1"})
	harness.Eventually(t, "the name's next address", func() error { return reached(e.Inside("second"), "registry.example:8443", "192.0.2.7:8443") })
	crash(t, e)
	harness.Eventually(t, "the name after a restart", func() error { return reached(e.Inside("second"), "registry.example:8443", "192.0.2.7:8443") })
	// It is nothing wrong, but a line.
	harness.Eventually(t, "what doctor says", func() error {
		out, err := e.TryGangway("doctor")
		if want := "127.0.0.54, is on its loopback, and policies allow *.wild.example"; !strings.Contains(out, want) {
			return fmt.Errorf("no %q in %s: %w", want, out, err)
		}
		return nil
	})
}
