package packaging

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// TestPluginMetrics: the managed plugin serves metrics where it is told to, on an address
// of the host and on a socket below /run, with what its containers do; without the setting
// nobody listens.
func TestPluginMetrics(t *testing.T) {
	t.Parallel()
	e := harness.Start(t, harness.Config{Suite: harness.Forky, Driver: harness.Managed})
	e.Network(t, "n1")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})
	const tcp, unix = "/dev/tcp/127.0.0.1/9323", "/run/gangway-metrics.sock"
	if out, err := e.Try("bash", "-c", ": <>"+tcp); err == nil {
		t.Errorf("somebody listens without the setting: %s", out)
	}

	setMetrics(t, e, "127.0.0.1:9323")
	gateway := strings.TrimSpace(e.Docker(t, "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "n1"))
	before := scrape(t, e, tcp)
	e.Inside("c1").Ping(t, gateway)
	after := scrape(t, e, tcp)
	const sent = "gangway_endpoint_transmit_bytes_total"
	if value(t, after, sent) < value(t, before, sent)+64 {
		t.Errorf("%s is %v, was %v before a ping", sent, value(t, after, sent), value(t, before, sent))
	}
	for name, want := range map[string]float64{"gangway_networks": 1, `gangway_health_state{state="ok"}`: 1, `gangway_scrape_source_success{source="conntrack"}`: 1} {
		if got := value(t, after, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if value(t, after, "process_open_fds") < 5 {
		t.Error("the process does not see itself")
	}

	setMetrics(t, e, "unix:/host"+unix)
	harness.Eventually(t, "the socket", func() error { _, err := e.Try("test", "-S", unix); return err })
	if mode := e.Run(t, "stat", "-c", "%a %u", unix); strings.TrimSpace(mode) != "600 0" {
		t.Errorf("the socket's mode and owner: %s", mode)
	}
	e.Docker(t, "rm", "-f", "c1")
	e.Docker(t, "network", "rm", "n1")
}

// setMetrics sets the plugin's setting as a user does, with containers running.
func setMetrics(t *testing.T, e *harness.Engine, to string) {
	t.Helper()
	e.Docker(t, "plugin", "disable", "-f", "gangway")
	e.Docker(t, "plugin", "set", "gangway", "GANGWAY_METRICS="+to)
	e.Docker(t, "plugin", "enable", "gangway")
	e.Gangway(t, "status") // waits until networks are restored
}

// scrape asks from the engine's host, which needs no more than a shell for that.
func scrape(t *testing.T, e *harness.Engine, device string) (text string) {
	t.Helper()
	harness.Eventually(t, "metrics", func() (err error) {
		text, err = e.Try("bash", "-c", fmt.Sprintf(`exec 3<>%s; printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3; cat <&3`, device))
		return err
	})
	if !strings.HasPrefix(text, "HTTP/1.0 200 OK\r\n") {
		t.Fatalf("the answer:\n%s", text)
	}
	return text
}

// value is that of the first series of a metric, or of the one with these labels.
func value(t *testing.T, text, name string) float64 {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `(?:\{.*\})? (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in:\n%s", name, text)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
