package integration

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testPolicyNames: an agent reaches what it asks for by an allowed name, on the engine's own
// resolver, and nothing else: no other name, no address that it has not learned, no other
// server of names; while the daemon is down what it has learned, and nothing new.
func testPolicyNames(t *testing.T, e *harness.Engine) {
	e.LAN.Outside.Run(t, "ip", "addr", "add", "192.0.2.7/24", "dev", "lan0")
	t.Cleanup(func() { e.LAN.Outside.Run(t, "ip", "addr", "del", "192.0.2.7/24", "dev", "lan0") })
	e.LAN.Outside.Serve(t, "dns:registry.example=192.0.2.2;other.example=192.0.2.7;late.wild.example=192.0.2.7", "192.0.2.2:53",
		"dns:registry.example=192.0.2.7", "192.0.2.7:53", "tcp", "192.0.2.2:8443", "tcp", "192.0.2.7:8443", "tcp", "192.0.2.2:9000")
	e.Network(t, "n1", "--subnet", "10.84.0.0/24", "-o", "gangway.egress=deny",
		"-o", "gangway.egress.allow=registry.example:8443,*.wild.example:8443,192.0.2.2:53",
		"-o", "gangway.egress.deny=metadata,203.0.113.0/24")
	e.Sleep(t, harness.Container{Name: "agent", Network: "n1", Args: []string{"--dns", "192.0.2.2"}})
	e.Sleep(t, harness.Container{Name: "liar", Network: "n1", Args: []string{"--dns", "192.0.2.7"}})
	agent, liar := e.Inside("agent"), e.Inside("liar")
	try := func(p *harness.Prober, addr string) bool {
		_, err := p.TryGet("tcp", addr, "-timeout", "5s")
		return err == nil
	}
	if try(agent, "192.0.2.2:8443") {
		t.Error("an address is reached that nobody has learned")
	}
	agent.Get(t, "tcp", "registry.example:8443")
	for _, no := range []string{"registry.example:9000", "other.example:8443", "192.0.2.7:8443"} {
		if try(agent, no) {
			t.Errorf("the agent reaches %s", no)
		}
	}
	namesTold(t, e)
	// Its server is none that the policy names: it opens nothing.
	if try(liar, "registry.example:8443") || try(liar, "192.0.2.7:8443") {
		t.Error("a container chooses who opens addresses")
	}
	harness.Eventually(t, "the names that were refused", func() error {
		if list := e.Gangway(t, "drops", "--format", "{{.Network}} {{.Container}} {{.Reason}}"); !strings.Contains(list, "n1 agent policy") {
			return errors.New(list)
		}
		return nil
	})
	e.Refused(t, []string{"gangway.egress.allow", "did you mean internet?"}, "network", "create", "-d", e.Driver, "-o", "gangway.egress=deny", "-o", "gangway.egress.allow=intrnet", "n2")
	e.Refused(t, []string{"*. at its front"}, "network", "create", "-d", e.Driver, "-o", "gangway.egress=deny", "-o", "gangway.egress.allow=a.*.example", "n2")
	e.Refused(t, []string{"can never match"}, "network", "create", "-d", e.Driver, "-o", "gangway.egress=deny", "-o", "gangway.egress.allow=a.example", "-o", "gangway.egress.deny=b.example", "n2")
	crash(t, e, func() {
		if try(agent, "late.wild.example:8443") || !try(agent, "192.0.2.2:8443") {
			t.Error("while the daemon is down something new is open, or what was learned is closed")
		}
	})
	harness.Eventually(t, "names after a restart", func() error {
		if !try(agent, "late.wild.example:8443") || !try(agent, "registry.example:8443") {
			return fmt.Errorf("not reached")
		}
		return nil
	})
}

// namesTold: the name by which an address was learned stands beside it, wherever somebody asks or
// looks; and sums of what was refused name the item of a list that has refused it.
func namesTold(t *testing.T, e *harness.Engine) {
	t.Helper()
	const learned = "192.0.2.2 is an address of registry.example"
	for _, c := range []struct{ args, want string }{
		{"policy test agent 192.0.2.2:8443", "allowed by egress.allow"},
		{"policy test agent 192.0.2.2:8443", learned},
		{"policy test agent 192.0.2.2:9000", "refused by egress deny"},
		{"policy test agent 192.0.2.2:9000", learned},
		{"policy test agent late.wild.example:8443", "allowed by egress.allow"},
		{"policy test agent other.example:8443", "the question is refused"},
		{"policy explain agent", "registry.example:8443 at 192.0.2.2"},
		{"trace agent 192.0.2.2:8443 --for 0s", "has 192.0.2.2 open as an address of registry.example"},
	} {
		if out, err := e.TryGangway(strings.Fields(c.args)...); !strings.Contains(out, c.want) {
			t.Errorf("gangway %s: no %q in %s (%v)", c.args, c.want, out, err)
		}
	}
	known(t, e, "agent")
	cmd, out := startFollowing(t, e, "agent")
	e.Inside("agent").Unreachable(t, "tcp", "192.0.2.2:9000")
	line, err := out.ReadString('\n')
	if err != nil || !strings.Contains(line, `"names":["registry.example"]`) {
		t.Errorf("gangway drops --follow prints %q (%v)", line, err)
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	logsNoMore(t, e)
	e.Inside("agent").Unreachable(t, "tcp", "203.0.113.7:443")
	harness.Eventually(t, "the item that has refused it", func() error {
		list := e.Gangway(t, "drops", "agent", "--format", "{{.By}}.")
		if !strings.Contains(list, "gangway.egress.deny=203.0.113.0/24 of network n1.") {
			return errors.New(list)
		}
		return nil
	})
}
