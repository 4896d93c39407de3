package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestCaptureRefuses: what cannot be captured is refused with the next step, and nothing is
// written.
func TestCaptureRefuses(t *testing.T) {
	i := namedHost()
	i.endpoints[2].HostInterface, i.endpoints[1].HostInterface = "", "gv-nowhere"
	dir := host(t, i)
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"", exitProblem, "name a container"},
		{"shop-db-1 more", exitProblem, `unexpected argument "more"`},
		{"shop-web-2", exitNotFound, `did you mean "shop-web-1"`},
		{"shop-web-1", exitProblem, "it does not run"},
		{"shop-db-1 --network " + net2, exitNotFound, "has no interface on network"},
		{"shop-db-1 --snaplen 0", exitProblem, "want 1 to 262144 bytes"},
		{"shop-db-1", exitProblem, "interface gv-nowhere of container shop-db-1, network shop_front is not here"},
	} {
		r := gangway(t, dir, append([]string{"capture"}, strings.Fields(c.args)...)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("capture %s: code %d, %q, want %d, %q", c.args, r.code, r.stderr, c.code, c.want)
		}
	}
}

// TestCaptureTerminal: a terminal gets no packets.
func TestCaptureTerminal(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	root := New(Options{Version: clientVersion, PluginDir: host(t, namedHost()), Serve: func(*cobra.Command, []string) error { return nil }})
	var stderr bytes.Buffer
	root.SetArgs([]string{"capture", "shop-db-1"})
	root.SetOut(terminal)
	if code := Execute(t.Context(), root, &stderr); code != exitProblem || !strings.Contains(stderr.String(), "standard output is a terminal") {
		t.Errorf("code %d, %q", code, stderr.String())
	}
}
