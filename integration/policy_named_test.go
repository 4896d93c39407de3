package integration

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// bothPorts and onePort are a policy before and after it is tightened.
const (
	bothPorts = `# what agents reach
name: agents
egress: deny
egress.allow:
  - 192.0.2.2:5432/tcp   # the database
  - 192.0.2.2:8443/tcp
`
	onePort = `# what agents reach
name: agents
egress: deny
egress.allow: 192.0.2.2:8443/tcp
`
)

// counters note what arrives at the outside, by port, but for resets: the host sends one itself when
// the outside answers a flow that nobody knows any more.
const counters = `nft -f - <<'EOF'
table inet arrived {
	counter c5432 {}
	counter c8443 {}
	chain in {
		type filter hook input priority 0;
		tcp dport 5432 tcp flags & rst == 0x0 counter name c5432
		tcp dport 8443 tcp flags & rst == 0x0 counter name c8443
	}
}
EOF`

func applyPolicy(t *testing.T, e *harness.Engine, text string, args ...string) (string, error) {
	t.Helper()
	const file = "/tmp/named-policy.yml"
	e.Run(t, "sh", "-c", fmt.Sprintf("cat >%s <<'EOF'\n%sEOF\n", file, text))
	return e.TryGangway(append(append([]string{"policy", "apply"}, args...), file)...)
}

func arrivedAt(t *testing.T, e *harness.Engine, port int) (packets int) {
	t.Helper()
	out := e.LAN.Outside.Run(t, "nft", "list", "counter", "inet", "arrived", fmt.Sprintf("c%d", port))
	_, rest, _ := strings.Cut(out, "packets ")
	packets, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return packets
}

// reaches says whether a container opens a connection to a port of the outside.
func reaches(e *harness.Engine, container, port string) error {
	_, err := e.Inside(container).TryGet("tcp", "192.0.2.2:"+port, "-timeout", "5s")
	return err
}

func wantReach(t *testing.T, e *harness.Engine, when, container string, open map[string]bool) {
	t.Helper()
	for port, want := range open {
		if err := reaches(e, container, port); (err == nil) != want {
			t.Errorf("%s: %s to port %s: %v, want it open: %t", when, container, port, err, want)
		}
	}
}

// testNamedPolicy: a policy with a name is tightened while flows run: that which it forbids ends
// at once, the other goes on. It is explained, tried, kept over restarts and kills, and stays
// while somebody uses it; exceptions end when they are to.
func testNamedPolicy(t *testing.T, e *harness.Engine) {
	e.LAN.Outside.Serve(t, "tcp", "192.0.2.2:5432", "tcp", "192.0.2.2:8443")
	e.LAN.Outside.Run(t, "sh", "-c", counters)
	t.Cleanup(func() { e.LAN.Outside.Run(t, "nft", "delete table inet arrived") })
	e.Refused(t, []string{`gangway.policy names "agents"`, "gangway policy apply"}, "network", "create", "-d", e.Driver, "-o", "gangway.policy=agents", "n1")
	if out, err := applyPolicy(t, e, bothPorts+"---\nname: others\nmode: audit\n"); err != nil || !strings.Contains(out, "agents: created") {
		t.Fatal(out, err)
	}
	t.Cleanup(func() { e.Gangway(t, "policy", "rm", "agents"); e.Gangway(t, "policy", "rm", "others") })
	both, one := map[string]bool{"5432": true, "8443": true}, map[string]bool{"5432": false, "8443": true}
	t.Run("tightened", func(t *testing.T) {
		e.Network(t, "n1", "--subnet", "10.74.0.0/24", "-o", "gangway.policy=agents")
		e.Network(t, "n2", "--subnet", "10.75.0.0/24")
		e.Sleep(t, harness.Container{Name: "box", Network: "n1"})
		e.Sleep(t, harness.Container{Name: "named", Network: "name=n2,driver-opt=gangway.policy=agents"})
		e.Sleep(t, harness.Container{Name: "free", Network: "n2"})
		namedPolicyTightened(t, e)
		namedPolicyAsked(t, e)
		namedPolicyKept(t, e, both, one)
		namedPolicyExceptions(t, e)
	})
}

// namedPolicyTightened changes the policy under flows, and back.
func namedPolicyTightened(t *testing.T, e *harness.Engine) {
	t.Helper()
	for _, container := range []string{"box", "named"} {
		if out, err := applyPolicy(t, e, bothPorts); err != nil {
			t.Fatal(out, err)
		}
		forbidden, allowed := e.StreamInside(t, container, "192.0.2.2:5432"), e.StreamInside(t, container, "192.0.2.2:8443")
		free := e.StreamInside(t, "free", "192.0.2.2:8443")
		if out, err := applyPolicy(t, e, onePort, "--dry-run"); err == nil || !strings.Contains(out, "-   - 192.0.2.2:5432/tcp   # the database") || !strings.Contains(out, "would be changed") {
			t.Errorf("tried only: %v\n%s", err, out)
		}
		if out, err := applyPolicy(t, e, onePort); err != nil || !strings.Contains(out, "agents: changed, for 1 network and 1 container by name") {
			t.Fatal(out, err)
		}
		ended := arrivedAt(t, e, 5432)
		goes := arrivedAt(t, e, 8443)
		harness.Eventually(t, "the allowed flow to go on", func() error {
			if more := arrivedAt(t, e, 8443); more < goes+200 {
				return fmt.Errorf("%d packets more", more-goes)
			}
			return nil
		})
		if more := arrivedAt(t, e, 5432); more > ended {
			t.Errorf("%s: %d packets of the forbidden flow have arrived behind the change", container, more-ended)
		}
		forbidden.Broken(t)
		allowed.Stop(t)
		free.Stop(t)
		if out, err := applyPolicy(t, e, onePort); err != nil || !strings.Contains(out, "agents: unchanged") {
			t.Errorf("the same again: %v %s", err, out)
		}
	}
}

// namedPolicyAsked asks what counts, in words and for an address.
func namedPolicyAsked(t *testing.T, e *harness.Engine) {
	t.Helper()
	harness.Eventually(t, "names", func() error {
		out, err := e.TryGangway("policy", "explain", "box")
		if err != nil || !strings.Contains(out, "on network n1") || !strings.Contains(out, "policy agents") {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	for container, words := range map[string]string{"box": "policy agents", "named": "policy agents", "free": "nothing is refused"} {
		if out := e.Gangway(t, "policy", "explain", container); !strings.Contains(out, words) {
			t.Errorf("%s: %s", container, out)
		}
	}
	if out := e.Gangway(t, "policy", "test", "box", "192.0.2.2:8443"); !strings.Contains(out, "allowed by egress.allow 192.0.2.2:8443/tcp (policy agents)") {
		t.Error(out)
	}
	if out, err := e.TryGangway("policy", "test", "box", "192.0.2.2:5432"); err == nil || !strings.Contains(out, "refused by egress deny (policy agents)") {
		t.Error(err, out)
	}
	if out, err := e.TryGangway("policy", "rm", "agents"); err == nil || !strings.Contains(fmt.Sprint(out, err), "in use by network n1") {
		t.Error(err, out)
	}
	if out := e.Gangway(t, "policy", "show", "agents"); out != strings.TrimSpace(onePort) && out != onePort {
		t.Errorf("shown as %q", out)
	}
	if out, err := applyPolicy(t, e, "name: agents\negres: deny\n"); err == nil || !strings.Contains(fmt.Sprint(out, err), "/tmp/named-policy.yml:2:1: unknown word") {
		t.Error(err, out)
	}
}

// namedPolicyKept: the policy counts while the daemon is down and when it is back, and one that was
// under way when the daemon was killed counts as it is shown.
func namedPolicyKept(t *testing.T, e *harness.Engine, both, one map[string]bool) {
	t.Helper()
	wantReach(t, e, "tightened", "box", one)
	wantReach(t, e, "tightened", "named", one)
	wantReach(t, e, "without a policy", "free", both)
	crash(t, e, func() { wantReach(t, e, "while the daemon is down", "box", one) })
	wantReach(t, e, "after a restart", "box", one)
	wantReach(t, e, "after a restart", "named", one)
	if e.Driver == string(harness.Managed) {
		return // whose end waits for the engine, and so is never in between
	}
	e.Run(t, "sh", "-c", fmt.Sprintf("cat >/tmp/named-both.yml <<'EOF'\n%sEOF\n", bothPorts))
	for range 3 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = e.TryGangway("policy", "apply", "/tmp/named-both.yml")
		}()
		crash(t, e, func() { <-done })
		ready(t, e) // what is shown is what is stored, before the rules are what they were to be
		want := one
		if strings.Contains(e.Gangway(t, "policy", "show", "agents"), "5432") {
			want = both
		}
		wantReach(t, e, "killed in between", "box", want)
		wantReach(t, e, "killed in between", "named", want)
		if out, err := applyPolicy(t, e, onePort); err != nil {
			t.Fatal(out, err)
		}
	}
}

// namedPolicyExceptions: an exception opens one destination for one container, stays over a
// restart, and ends.
func namedPolicyExceptions(t *testing.T, e *harness.Engine) {
	t.Helper()
	open, shut := map[string]bool{"5432": true}, map[string]bool{"5432": false}
	harness.Eventually(t, "names after the restart", func() error {
		_, err := e.TryGangway("policy", "explain", "box")
		return err
	})
	e.Gangway(t, "policy", "allow", "box", "192.0.2.2:5432/tcp", "--for", "1h")
	wantReach(t, e, "an exception", "box", open)
	wantReach(t, e, "an exception of another", "named", shut)
	crash(t, e)
	wantReach(t, e, "an exception, after a restart", "box", open)
	harness.Eventually(t, "names after the restart", func() error {
		out, err := e.TryGangway("policy", "explain", "box")
		if err == nil && !strings.Contains(out, "exception of the container, until 2") {
			err = errors.New(out)
		}
		return err
	})
	stream := e.StreamInside(t, "box", "192.0.2.2:5432")
	e.Gangway(t, "policy", "revoke", "box", "192.0.2.2:5432/tcp")
	stream.Broken(t)
	wantReach(t, e, "revoked", "box", shut)
	e.Gangway(t, "policy", "allow", "n1", "192.0.2.2:5432", "--for", "8s")
	wantReach(t, e, "for some seconds", "box", open)
	harness.Eventually(t, "the end of the exception", func() error {
		if reaches(e, "box", "5432") == nil {
			return errors.New("it is open")
		}
		return nil
	})
	if out := e.Gangway(t, "policy", "ls"); strings.Contains(out, "EXCEPTION") {
		t.Error(out)
	}
}
