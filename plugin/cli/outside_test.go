package cli

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/gangway-net/gangway/driver"
)

// obeyed is what a terminal acts on: escape sequences in both codings, a carriage
// return, a mark of direction, a character beyond 16 bits.
const obeyed = "a\x1b[2J\u009b2J\r\x7f\u202e\U000e0041b"

// outside is a host on which names that are not ours hold such characters.
func outside() *inspector {
	addr := netip.MustParseAddr
	return &inspector{
		status: driver.Status{Firewall: obeyed, Problem: "first\nsecond " + obeyed, Unguarded: obeyed, Fights: []string{obeyed + "\tc\nState: ok"}},
		networks: []driver.NetworkStatus{
			{ID: obeyed, Bridge: obeyed},
		},
		endpoints: []driver.EndpointStatus{
			{ID: obeyed, NetworkID: obeyed, Bridge: obeyed, MAC: obeyed, Sandbox: obeyed, HostInterface: obeyed, ContainerInterface: obeyed + "\tc\nd", ContainerIndex: 3},
		},
		events: []driver.Event{{Number: 1, Time: time.Unix(1, 0), Kind: driver.EventFight, Text: obeyed + "\n2001-02-03  peace"}},
		ports:  []driver.PortStatus{{EndpointID: obeyed, NetworkID: obeyed, Protocol: obeyed, HostIP: addr("::"), ContainerIP: addr("::"), Path: obeyed}},
	}
}

// TestOutside: whatever names come from outside, no command writes anything that a
// terminal obeys, none adds a line or a column, and JSON means what the daemon said.
func TestOutside(t *testing.T) {
	i := outside()
	dir := host(t, i)
	lines := map[string]int{"status": 14, "health": 3, "networks": 2, "endpoints": 2, "ports": 2, "events": 2}
	for name, want := range lines {
		r := gangway(t, dir, name)
		checkClean(t, name, r.stdout+r.stderr)
		out := r.stdout
		if got := strings.Count(out, "\n"); got != want {
			t.Errorf("%s: %d lines, want %d:\n%s", name, got, want, out)
		}
		if !strings.Contains(out, `a\x1b[2J`) {
			t.Errorf("%s does not show what the name is:\n%s", name, out)
		}
		out = gangway(t, dir, name, "--json").stdout
		checkClean(t, name+" --json", out)
		if !json.Valid([]byte(out)) {
			t.Errorf("%s --json: %s", name, out)
		}
	}
	out := gangway(t, dir, "endpoints", "--json").stdout
	var endpoints []driver.EndpointStatus
	if err := json.Unmarshal([]byte(out), &endpoints); err != nil || endpoints[0].ContainerInterface != i.endpoints[0].ContainerInterface {
		t.Errorf("endpoints --json: %+v, %v", endpoints, err)
	}

	i.err = errors.New("interface " + obeyed)
	for _, args := range [][]string{{"endpoints"}, {"endpoints", "--json"}, {"status", "--socket", "/" + obeyed}, {obeyed}, {"--" + obeyed}} {
		r := gangway(t, dir, args...)
		checkClean(t, strings.Join(args, " "), r.stdout+r.stderr)
		if r.code == 0 || r.stderr == "" {
			t.Errorf("%q: exit code %d, %q", args, r.code, r.stderr)
		}
	}
}

func checkClean(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%s: has %U:\n%q", what, r, text)
			return
		}
	}
}
