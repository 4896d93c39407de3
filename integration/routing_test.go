package integration

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// keeping is the command that the status names.
var keeping = regexp.MustCompile(`run: (ip (?:-6 )?rule add to \S+ lookup main suppress_prefixlength 0 priority \d+)`)

// testPolicyRouting: a rule that sends what comes from one network to another router takes
// the published ports of other networks from its containers. The status names the rule that
// gives them back, as long as it is not there.
func testPolicyRouting(t *testing.T, e *harness.Engine) {
	e.Network(t, "n1", "--ipv6", "--subnet", "10.74.0.0/24", "--subnet", "fd00:74::/64")
	id := e.Network(t, "n2", "--ipv6", "--subnet", "10.74.1.0/24", "--subnet", "fd00:74:1::/64")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: publish("8000:80")}, "tcp", "[::]:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n2"})
	asks := []string{harness.LanIPv4 + ":8000", "[" + harness.LanIPv6 + "]:8000"}
	if e.Driver == string(harness.Builtin) {
		asks = asks[:1]
	}
	reached := func(when string) {
		t.Helper()
		for _, at := range asks {
			by(t, when, e.Inside("c2").Get(t, "tcp", at), "c1")
		}
	}
	rule := func(command string) {
		t.Helper()
		e.Run(t, "sh", "-ec", command)
		t.Cleanup(func() { e.Run(t, "sh", "-ec", strings.Replace(command, " add ", " del ", 1)) })
	}
	reached("without a rule")
	rule("ip route add default via 192.0.2.2 table 100")
	rule("ip -6 route add default via 2001:db8::2 table 100")
	rule("ip rule add from 10.74.1.0/24 lookup 100")
	rule("ip -6 rule add from fd00:74:1::/64 lookup 100")
	if e.Driver == string(harness.Builtin) {
		reached("by the engine's proxy")
		return
	}
	for _, at := range asks {
		e.Inside("c2").Unreachable(t, "tcp", at)
	}
	out, _ := e.TryGangway("status")
	commands := keeping.FindAllStringSubmatch(out, -1)
	if len(commands) != 2 {
		t.Fatalf("%d commands in the status, want one a family:\n%s", len(commands), out)
	}
	told(t, e, "problem", commands[0][1])
	for _, c := range commands {
		rule(c[1])
	}
	reached("with the rules that the status names")
	if out, err := e.TryGangway("status"); err != nil || keeping.MatchString(out) {
		t.Errorf("the status after that: %v\n%s", err, out)
	}
	told(t, e, "solved", commands[0][1])
	way := e.Run(t, "ip", "route", "get", "198.51.100.1", "from", e.Address(t, "c2", "n2"), "iif", "gw-"+id[:12])
	if !strings.Contains(way, "via 192.0.2.2") {
		t.Errorf("what else comes from the network goes by %q", way)
	}
}

// told waits for an event of a kind with a word.
func told(t *testing.T, e *harness.Engine, kind, word string) {
	t.Helper()
	harness.Eventually(t, kind+" with "+word, func() error {
		for _, line := range strings.Split(e.Gangway(t, "events"), "\n") {
			if strings.Contains(line, kind) && strings.Contains(line, word) {
				return nil
			}
		}
		return fmt.Errorf("no such event")
	})
}
