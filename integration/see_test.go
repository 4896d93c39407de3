package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testSee: status, networks, endpoints, ports and version tell what is there,
// readable and as JSON.
func testSee(t *testing.T, e *harness.Engine) {
	id := e.Network(t, "n1", "--subnet", "10.79.0.0/24", "-o", "com.docker.network.driver.mtu=1400")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80", "9000-9009:9000-9009/udp")}, "tcp", "0.0.0.0:80")
	for _, c := range []struct {
		command string
		words   []string
	}{
		{"status", []string{e.Firewall()}},
		{"networks", []string{"n1", "nat", "gw-" + id[:12], "10.79.0.0/24", "driver.mtu=1400"}},
		{"networks --no-trunc", []string{id, "10.79.0.1"}},
		{"endpoints", []string{"c1", "n1", "10.79.0.2", "eth0"}},
		{"ports", []string{"8000/tcp", "9000-9009/udp", "c1", "n1", "0.0.0.0 (nat)"}},
		{"version", []string{"go1."}},
	} {
		words := strings.Fields(c.command)
		harness.Eventually(t, "gangway "+c.command, func() error { // names come in the background
			text := e.Gangway(t, words...)
			for _, word := range c.words {
				if !strings.Contains(text, word) {
					return fmt.Errorf("no %q in:\n%s", word, text)
				}
			}
			return nil
		})
		if encoded := e.Gangway(t, append(words, "--json")...); !json.Valid([]byte(encoded)) {
			t.Errorf("gangway %s --json:\n%s", c.command, encoded)
		}
	}
	var networks []struct {
		ID        string `json:"id"`
		MTU       int    `json:"mtu"`
		Endpoints int    `json:"endpoints"`
	}
	e.GangwayJSON(t, &networks, "networks")
	if len(networks) != 1 || networks[0].ID != id || networks[0].MTU != 1400 || networks[0].Endpoints != 1 {
		t.Errorf("networks: %+v", networks)
	}
	_, err := e.TryGangway("status", "--socket", "/run/nobody.sock")
	if err == nil || !strings.Contains(err.Error(), "/run/nobody.sock") {
		t.Errorf("status of a daemon that is not there: %v, want an error with the socket", err)
	}
}
