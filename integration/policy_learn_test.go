package integration

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// startLearning starts gangway policy learn, and waits until all passes.
func startLearning(t *testing.T, e *harness.Engine, whom, span string) (cmd *exec.Cmd, out *bytes.Buffer) {
	t.Helper()
	cmd, out = e.GangwayCommand(t.Context(), "policy", "learn", whom, "--for", span), &bytes.Buffer{}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 20*time.Second, "a policy to be learned", func() error {
		if text := e.Gangway(t, "policy", "explain", whom); !strings.Contains(text, "a policy is learned just now") {
			return errors.New(text)
		}
		return nil
	})
	return cmd, out
}

// learnsNoMore waits until what is said counts again, which it has to at once.
func learnsNoMore(t *testing.T, e *harness.Engine, when string) {
	t.Helper()
	harness.Eventually(t, 20*time.Second, "the policy to count again, "+when, func() error {
		if text := e.Gangway(t, "policy", "explain", "box"); strings.Contains(text, "a policy is learned just now") {
			return errors.New(text)
		}
		return nil
	})
	wantReach(t, e, when, "box", map[string]bool{"8443": false, "5432": false})
}

// testPolicyLearn: what a container does while a policy is learned of it, which refuses it nothing, makes
// a policy that allows that and nothing else, by name where it has asked for one. It ends with
// its time, with the command, and with the daemon.
func testPolicyLearn(t *testing.T, e *harness.Engine) {
	e.LAN.Outside.Serve(t, "dns:registry.example=192.0.2.2", "192.0.2.2:53", "tcp", "192.0.2.2:8443", "tcp", "192.0.2.2:5432")
	e.Network(t, "learn", "--subnet", "10.81.0.0/24", "-o", "gangway.egress=deny", "-o", "gangway.ingress=none")
	e.Serve(t, harness.Container{Name: "box", Network: "learn", Args: append(publish("8088:80"), "--dns", "192.0.2.2")}, "tcp", "0.0.0.0:80")
	wantReach(t, e, "before", "box", map[string]bool{"8443": false})

	cmd, out := startLearning(t, e, "box", "25s")
	e.Inside("box").Get(t, "tcp", "registry.example:8443")
	e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8088")
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	learned := out.String()
	for _, line := range []string{"name: box\n", "egress: deny\n", "registry.example:8443/tcp\n", "192.0.2.2:53/udp\n", "ingress: 8088/tcp=192.0.2.2\n"} {
		if !strings.Contains(learned, line) {
			t.Errorf("what was learned lacks %q:\n%s", line, learned)
		}
	}
	learnsNoMore(t, e, "after its time")
	if said, err := applyPolicy(t, e, learned); err != nil {
		t.Fatal(said, err)
	}
	t.Cleanup(func() { e.Gangway(t, "policy", "rm", "box") })
	t.Run("applied", func(t *testing.T) {
		e.Network(t, "learned", "--subnet", "10.82.0.0/24", "-o", "gangway.policy=box")
		e.Serve(t, harness.Container{Name: "again", Network: "learned", Args: append(publish("8089:80"), "--dns", "192.0.2.2")}, "tcp", "0.0.0.0:80")
		e.Inside("again").Get(t, "tcp", "registry.example:8443")
		wantReach(t, e, "by what was learned", "again", map[string]bool{"5432": false})
		if _, err := e.LAN.Outside.TryGet("tcp", "192.0.2.1:8089", "-timeout", "2s"); err == nil {
			t.Error("a port is reached that nobody has asked for")
		}
	})

	cmd, _ = startLearning(t, e, "box", "10m")
	wantReach(t, e, "while it is learned", "box", map[string]bool{"8443": true, "5432": true})
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the command succeeds, and was interrupted")
	}
	learnsNoMore(t, e, "after the command was interrupted")
	cmd, _ = startLearning(t, e, "box", "10m")
	e.KillGangway(t)
	e.StartGangway(t)
	if err := cmd.Wait(); err == nil {
		t.Error("the command succeeds, and the daemon has died")
	}
	learnsNoMore(t, e, "after the daemon was killed")
}
