package integration

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/gangway-net/gangway/integration/harness"
)

// testStrangeNames: whoever names a process or an interface on the host's terminals by
// gangway or by the engine sees the name, and no terminal obeys it.
func testStrangeNames(t *testing.T, e *harness.Engine) {
	const shown = `a\x1b[2J`
	e.Network(t, "n1", "--subnet", "10.95.0.0/24")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1", Args: []string{"--cap-add", "NET_ADMIN"}})
	e.Exec(t, "c1", "sh", "-c", `ip link set eth0 down; ip link set eth0 name "$(printf 'a\033[2J')"`)
	endpoints := e.Gangway(t, "endpoints")
	if !strings.Contains(endpoints, shown) {
		t.Errorf("the interface is not shown:\n%q", endpoints)
	}
	plain(t, "gangway endpoints", endpoints)
	plain(t, "gangway endpoints --json", e.Gangway(t, "endpoints", "--json"))

	e.Run(t, "sh", "-c", `cp "$(command -v busybox)" "$(printf '/run/busybox\033[2J')"`)
	e.Daemon(t, "sh", "-c", `exec "$(printf '/run/busybox\033[2J')" nc -l -p 8000`)
	harness.Eventually(t, "the port is taken", func() error {
		out, err := e.Try("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 | grep ':1F40 0*:0000 0A '")
		if err != nil {
			return fmt.Errorf("%s: %w", out, err)
		}
		return nil
	})
	out, err := e.TryDocker("run", "--rm", "--network", "n1", "-p", "8000:80", harness.Image, "true")
	if err == nil || !strings.Contains(err.Error(), `busybox\x1b[2J (pid `) && !strings.Contains(err.Error(), `busybox\\x1b[2J (pid `) {
		t.Errorf("a port that somebody holds: %v\n%q", err, out)
	}
	if err != nil {
		plain(t, "docker run", out+err.Error())
	}
}

// plain fails the test if a terminal would obey something in a text.
func plain(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			t.Errorf("%s: has %U: %q", what, r, text)
			return
		}
	}
}
