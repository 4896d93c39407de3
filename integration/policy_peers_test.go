package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// wantPeer asks a port of a container of another network until it answers.
func wantPeer(t *testing.T, e *harness.Engine, container, to string) {
	t.Helper()
	harness.Eventually(t, container+" to reach "+to, func() error {
		_, err := e.Inside(container).TryGet("tcp", to, "-timeout", "2s")
		return err
	})
}

func wantNoPeer(t *testing.T, e *harness.Engine, when string, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if _, err := e.Inside(pairs[i]).TryGet("tcp", pairs[i+1], "-timeout", "2s"); err == nil {
			t.Errorf("%s: %s reaches %s", when, pairs[i], pairs[i+1])
		}
	}
}

// testPolicyPeers: a database is reached from one network, which names it, and by nobody else;
// the other direction stays closed, and so does all until both networks are there. A network
// that comes again is found by its name, and a restart of the daemon closes nothing.
func testPolicyPeers(t *testing.T, e *harness.Engine) {
	database := func(t *testing.T, third string) {
		t.Helper()
		e.Network(t, "peer-db", "--subnet", "10."+third+".0.0/24", "-o", "gangway.egress=deny", "-o", "gangway.ingress=network:peer-app")
		e.Serve(t, harness.Container{Name: "db", Network: "peer-db", Args: []string{"--ip", "10." + third + ".0.5"}}, "tcp", "0.0.0.0:5432", "tcp", "0.0.0.0:22")
	}
	e.Network(t, "peer-app", "--subnet", "10.76.0.0/24", "-o", "gangway.egress=deny", "-o", "gangway.egress.allow=network:peer-db:5432/tcp")
	e.Network(t, "peer-other", "--subnet", "10.79.0.0/24", "-o", "gangway.egress.allow=network:peer-db", "-o", "com.docker.network.bridge.enable_icc=false")
	e.Serve(t, harness.Container{Name: "app", Network: "peer-app"}, "tcp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "other", Network: "peer-other"})
	app, other := e.Address(t, "app", "peer-app"), e.Address(t, "other", "peer-other")
	if out := e.Gangway(t, "policy", "explain", "app"); !strings.Contains(out, "closed: there is no network peer-db") {
		t.Errorf("before the database is there:\n%s", out)
	}
	t.Run("first", func(t *testing.T) {
		database(t, "77")
		wantPeer(t, e, "app", "10.77.0.5:5432")
		wantNoPeer(t, e, "open", "app", "10.77.0.5:22", "db", app+":80", "other", "10.77.0.5:5432")
		if out := e.Gangway(t, "policy", "explain", "app"); strings.Contains(out, "closed: ") {
			t.Errorf("open, and explained:\n%s", out)
		}
		if out := e.Gangway(t, "policy", "explain", "other"); !strings.Contains(out, "closed: no gangway.ingress of network peer-db has network:peer-other") {
			t.Errorf("open by half, and explained:\n%s", out)
		}
		if out := e.Gangway(t, "trace", "app", "10.77.0.5:5432/tcp", "--probe"); !strings.Contains(out, "the policies of both sides say so") {
			t.Errorf("traced:\n%s", out)
		}
		flow := e.StreamInside(t, "app", "10.77.0.5:5432")
		crash(t, e)
		wantPeer(t, e, "app", "10.77.0.5:5432")
		wantNoPeer(t, e, "after a restart", "app", "10.77.0.5:22", "db", app+":80", "other", "10.77.0.5:5432")
		flow.Stop(t)
	})
	t.Run("made again", func(t *testing.T) {
		harness.Eventually(t, "the network to be gone", func() error {
			if out := e.Gangway(t, "policy", "explain", "app"); !strings.Contains(out, "closed: there is no network peer-db") {
				return fmt.Errorf("explained: %s", out)
			}
			return nil
		})
		database(t, "78")
		wantPeer(t, e, "app", "10.78.0.5:5432")
		wantNoPeer(t, e, "made again", "app", "10.78.0.5:22", "other", "10.78.0.5:5432", "db", other+":80")
		e.Gangway(t, "policy", "deny", "app", "network:peer-db")
		wantNoPeer(t, e, "denied", "app", "10.78.0.5:5432")
		e.Gangway(t, "policy", "revoke", "app", "network:peer-db")
		wantPeer(t, e, "app", "10.78.0.5:5432")
	})
}
