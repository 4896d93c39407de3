package integration

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// testHungFirewall: while iptables does not answer for one network, containers start and
// stop on others as long as they need no other rules, requests that do end within their
// own time, and the status names what hangs. With the answer all is as it was asked.
// There is no such program to hang with the rules in nftables: driver's own tests have
// that case.
func testHungFirewall(t *testing.T, e *harness.Engine) {
	if e.Firewall() != "iptables" {
		return
	}
	e.Network(t, "n1", "--subnet", "10.84.0.0/24")
	e.Docker(t, "run", "--rm", "--network", "n1", harness.Image, "true")
	release := hangIPTables(t, e)
	created := make(chan error, 1)
	go func() {
		_, err := e.TryDocker("network", "create", "-d", e.Driver, "--subnet", "10.84.1.0/24", "n2")
		created <- err
	}()
	harness.Eventually(t, "the status names what hangs", func() error {
		select {
		case err := <-created:
			t.Fatalf("the request did not hang: %v", err)
		default:
		}
		out, _ := e.TryGangway("status")
		if !strings.Contains(out, "no answer for") || !strings.Contains(out, "firewall's rules (iptables)") {
			return fmt.Errorf("status %q", out)
		}
		return nil
	})
	start := time.Now()
	e.Docker(t, "run", "--rm", "--network", "n1", harness.Image, "true")
	t.Logf("a container on another network took %s", time.Since(start))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	select {
	case err := <-created:
		if err == nil {
			t.Error("the network is there, and its rules are not")
		}
	case <-ctx.Done():
		t.Fatal("the request does not end")
	}
	release()
	harness.Eventually(t, "all is well", func() error {
		if out, err := e.TryGangway("health"); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	e.Network(t, "n2", "--subnet", "10.84.1.0/24")
	e.Serve(t, harness.Container{Name: "c1", Network: "n2", Args: publish("8000:80")}, "tcp", "0.0.0.0:80")
}

// hangIPTables has programs that change rules wait until release is called. Who has been
// ended meanwhile takes no other program along.
func hangIPTables(t *testing.T, e *harness.Engine) (release func()) {
	t.Helper()
	flag := e.Path("/run/hang")
	release = func() {
		if err := os.Remove(flag); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	}
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	for _, name := range []string{"iptables-nft-restore", "ip6tables-nft-restore", "iptables-legacy-restore", "ip6tables-legacy-restore"} {
		script := "#!/bin/sh\nwhile [ -e /run/hang ]; do sleep 0.1; done\nexec /usr/sbin/" + name + " \"$@\"\n"
		path := e.Path("/usr/local/sbin/" + name)
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(path) })
	}
	return release
}
