package plugin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/integration/golden"
	"github.com/gangway-net/gangway/integration/testkit"
)

// TestReplay sends what engines sent, in order, over a real socket: the golden
// files hold what reached the domain and what the engine was answered.
func TestReplay(t *testing.T) {
	for _, recording := range []string{
		"engine-20.10-container-life", "engine-20.10-restarts",
		"engine-26.1-container-life", "engine-26.1-restarts",
		"engine-28.5-container-life", "engine-28.5-restarts",
		"engine-29-container-life", "engine-29-restarts",
	} {
		t.Run(recording, func(t *testing.T) {
			name := filepath.Join("testdata", recording)
			text, err := os.ReadFile(name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			d := ready(t, nil)
			var got strings.Builder
			for line := range strings.Lines(string(text)) {
				op, body, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
				if !strings.HasPrefix(op, "/") || !ok {
					fmt.Fprint(&got, line)
					continue
				}
				if body != "" {
					body += "\n"
				}
				status, answer := d.call(t, op[1:], body)
				if status != http.StatusOK {
					t.Errorf("%s %s: %d %s", op, body, status, answer)
				}
				fmt.Fprintf(&got, "%s\n", op)
				for _, call := range d.domain.take() {
					fmt.Fprintf(&got, "  -> %s\n", call)
				}
				fmt.Fprintf(&got, "  <- %d %s\n", status, answer)
			}
			golden.Compare(t, name+".golden", got.String())
		})
	}
}

// TestWire holds the answers that the recordings have no example of.
func TestWire(t *testing.T) {
	d := ready(t, nil)
	for _, tc := range []struct{ op, body, want string }{
		{"Plugin.Activate", "", manifest},
		{"NetworkDriver.GetCapabilities", "", `{"Scope":"local","ConnectivityScope":"local","GwAllocChecker":true}`},
		{"IpamDriver.GetCapabilities", "", `{"RequiresMACAddress":true,"RequiresRequestReplay":true}`},
		{"NetworkDriver.EndpointOperInfo", `{"NetworkID":"n","EndpointID":"e"}`, `{"Value":{}}`},
		{"NetworkDriver.FreeNetwork", `{"NetworkID":"n"}`, `{}`},
		{"NetworkDriver.DiscoverNew", `{"DiscoveryType":1,"DiscoveryData":{"Address":"192.0.2.1","BindAddress":"","Self":true}}`, `{}`},
		{"NetworkDriver.DiscoverDelete", `{"DiscoveryType":1,"DiscoveryData":{"Address":"192.0.2.1","BindAddress":"","Self":false}}`, `{}`},
	} {
		if status, got := d.call(t, tc.op, tc.body); status != 200 || got != tc.want {
			t.Errorf("%s: got %d %s, want %s", tc.op, status, got, tc.want)
		}
	}
	if got := d.domain.take(); !cmp.Equal(got, []string{"Greet"}) {
		t.Errorf("domain calls: %v", got)
	}
	body := `{"NetworkID":"hvs2zzjqhhqxlgkqnkzzzzzzz","Options":{},"IPv4Data":[{"AddressSpace":"","Pool":"10.0.0.0/24"}],"IPv6Data":null}`
	if msg := d.refused(t, "NetworkDriver.AllocateNetwork", body, 400); !strings.Contains(msg, "local to a node") {
		t.Errorf("AllocateNetwork: %s", msg)
	}
}

// TestHosts: engines put different things, or nothing, into the Host header,
// and send one request after the other on one connection.
func TestHosts(t *testing.T) {
	d := ready(t, nil)
	c, err := net.Dial("unix", d.sock.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(c)
	for _, host := range []string{"", "plugin.moby.localhost", "%2Frun%2Fdocker%2Fplugins%2Fgangway.sock", "192.0.2.1:80"} {
		const body = "{\"NetworkID\":\"n1\",\"EndpointID\":\"e1\"}\n"
		fmt.Fprintf(c, "POST /NetworkDriver.Leave HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", host, len(body), body)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("host %q: %v", host, err)
		}
		answer, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || string(answer) != "{}\n" {
			t.Errorf("host %q: %d %s %v", host, resp.StatusCode, answer, err)
		}
	}
	if calls := d.domain.take(); len(calls) != 4 {
		t.Errorf("domain calls: %v", calls)
	}
}
