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
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/ipam"
	"github.com/gangway-net/gangway/plugin/names"
)

// obeyed is what a terminal acts on: escape sequences in both codings, a carriage
// return, a mark of direction, a character beyond 16 bits.
const obeyed = "a\x1b[2J\u009b2J\r\x7f\u202e\U000e0041b"

// outside is a host on which names that are not ours hold such characters.
func outside() *inspector {
	addr := netip.MustParseAddr
	book := names.New()
	engine := book.Source()
	engine.SetNetworks([]names.Network{{ID: obeyed, Name: obeyed + "\tn"}})
	engine.SetContainers([]names.Place{{EndpointID: obeyed, NetworkID: obeyed, Container: names.Container{ID: obeyed, Name: obeyed + "\tc\nd"}}})
	return &inspector{
		book:   book,
		status: driver.Status{Firewall: obeyed, Causes: []cause.Cause{{Code: "a", State: "problem", What: "first\nsecond " + obeyed, Why: obeyed, Do: obeyed}}, Unguarded: obeyed, Flapping: []string{obeyed + "\tc\nState: ok"}},
		networks: []driver.NetworkStatus{
			{ID: obeyed, Bridge: obeyed},
		},
		endpoints: []driver.EndpointStatus{
			{ID: obeyed, NetworkID: obeyed, Bridge: obeyed, MAC: obeyed, Sandbox: obeyed, HostInterface: obeyed, ContainerInterface: obeyed + "\tc\nd", ContainerIndex: 3},
		},
		events:    []events.Event{{Number: 1, Time: time.Unix(1, 0), Kind: events.Flapping, Text: obeyed + "\n2001-02-03  settled"}},
		addresses: []ipam.AddressStatus{{Pool: obeyed, Address: addr("10.0.0.1"), State: obeyed, Name: obeyed + "\tc\nd"}},
		dropped:   []driver.Dropped{{Reason: obeyed, Packets: 1, NetworkID: obeyed, EndpointID: obeyed}},
		ports:     []driver.PortStatus{{EndpointID: obeyed, NetworkID: obeyed, Protocol: obeyed, HostIP: addr("::"), ContainerIP: addr("::"), Path: obeyed}},
	}
}

// TestOutside: whatever names come from outside, no command writes anything that a
// terminal obeys, none adds a line or a column, and JSON means what the daemon said.
func TestOutside(t *testing.T) {
	i := outside()
	dir := host(t, i)
	lines := map[string]int{"status": 14, "health": 1, "networks": 2, "endpoints": 2, "ports": 2, "events": 2, "addresses": 2, "drops": 2}
	for name, want := range lines {
		args := []string{name}
		if want == 2 && name != "events" { // one row, where nothing is too long
			args = append(args, "--no-trunc")
			checkClean(t, name, gangway(t, dir, name).stdout)
		}
		r := gangway(t, dir, args...)
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
	for _, name := range []string{"networks", "endpoints", "ports"} {
		for _, format := range []string{"json", "table", "{{range $k, $v := .}}{{$v}}{{end}}", `{{json .Network}}`} {
			r := gangway(t, dir, name, "--format", format)
			checkClean(t, name+" --format "+format, r.stdout+r.stderr)
			if lines := strings.Count(r.stdout, "\n"); lines > 3 {
				t.Errorf("%s --format %s: %q", name, format, r.stdout)
			}
		}
	}
	checkClean(t, "completion", gangway(t, dir, "__complete", "ports", "").stdout)
	out := gangway(t, dir, "endpoints", "--json").stdout
	var endpoints []driver.EndpointStatus
	if err := json.Unmarshal([]byte(out), &endpoints); err != nil || endpoints[0].ContainerInterface != i.endpoints[0].ContainerInterface {
		t.Errorf("endpoints --json: %+v, %v", endpoints, err)
	}

	i.err = errors.New("interface " + obeyed)
	for _, args := range [][]string{{"endpoints"}, {"endpoints", "--json"}, {"status", "--socket", "/" + obeyed}, {obeyed}, {"--" + obeyed}, {"ports", obeyed + "x"}, {"endpoints", "--network", obeyed + "x"}, {"ports", "--format", "{{" + obeyed}, {"ports", "--format", "{{." + "X" + "}}"}} {
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
