package integration

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// startLearning starts gangway policy learn, and waits until all passes.
func startLearning(t *testing.T, e *harness.Engine, whom string) (cmd *exec.Cmd, out, said *bytes.Buffer) {
	t.Helper()
	cmd, out, said = e.GangwayCommand(t.Context(), "policy", "learn", whom, "--for", "10m"), &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "a policy to be learned", func() error {
		if text := e.Gangway(t, "policy", "explain", whom); !strings.Contains(text, "a policy is learned just now") {
			return errors.New(text)
		}
		return nil
	})
	return cmd, out, said
}

// interrupt sends SIGINT to the command that a nsenter waits for.
func interrupt(t *testing.T, nsenter int) {
	t.Helper()
	child, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", nsenter, nsenter))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(child)))
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGINT)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// learnsNoMore waits until what is said counts again, which it has to at once.
func learnsNoMore(t *testing.T, e *harness.Engine, when string) {
	t.Helper()
	harness.Eventually(t, "the policy to count again, "+when, func() error {
		if text := e.Gangway(t, "policy", "explain", "box"); strings.Contains(text, "a policy is learned just now") {
			return errors.New(text)
		}
		return nil
	})
	wantReach(t, e, when, "box", map[string]bool{"8443": false, "5432": false})
}

// testPolicyLearn: what a container does while a policy is learned of it, which refuses it nothing, makes
// a policy that allows that and nothing else, by name where it has asked for one. It ends with an
// interrupt, which gives the policy, with its time, and with the daemon.
func testPolicyLearn(t *testing.T, e *harness.Engine) {
	e.LAN.Outside.Serve(t, "dns:registry.example=192.0.2.2", "192.0.2.2:53", "tcp", "192.0.2.2:8443", "tcp", "192.0.2.2:5432")
	e.Network(t, "learn", "--subnet", "10.81.0.0/24", "-o", "gangway.egress=deny", "-o", "gangway.ingress=none")
	e.Serve(t, harness.Container{Name: "box", Network: "learn", Args: append(publish("8088:80"), "--dns", "192.0.2.2")}, "tcp", "0.0.0.0:80")
	wantReach(t, e, "before", "box", map[string]bool{"8443": false})

	cmd, out, told := startLearning(t, e, "box")
	wantReach(t, e, "while it is learned", "box", map[string]bool{"8443": true})
	e.Inside("box").Get(t, "tcp", "registry.example:8443")
	e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8088")
	interrupt(t, cmd.Process.Pid)
	if err := cmd.Wait(); err != nil || !strings.Contains(told.String(), "cut short after ") {
		t.Fatalf("interrupted: %v\n%s", err, told)
	}
	learnsNoMore(t, e, "after an interrupt")
	learned := out.String()
	for _, line := range []string{"name: box\n", "egress: deny\n", "registry.example:8443/tcp\n", "192.0.2.2:53/udp\n", "ingress: 8088/tcp=192.0.2.2\n"} {
		if !strings.Contains(learned, line) {
			t.Errorf("what was learned lacks %q:\n%s", line, learned)
		}
	}
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

	if learned = e.Gangway(t, "policy", "learn", "box", "--for", "1s"); !strings.Contains(learned, "in 1s, flows: 0") || strings.Contains(learned, "cut short") {
		t.Errorf("learned until its time was over:\n%s", learned)
	}
	learnsNoMore(t, e, "after its time")
	cmd, _, _ = startLearning(t, e, "box")
	crash(t, e)
	if err := cmd.Wait(); err == nil {
		t.Error("the command succeeds, and the daemon has died")
	}
	learnsNoMore(t, e, "after the daemon was killed")
}
