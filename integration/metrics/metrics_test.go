// Package metrics has Debian's Prometheus scrape the daemon. It holds tests only.
package metrics

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/lone"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/plugin/metrics"
)

func TestMain(m *testing.M) { nstest.Main(m) }

const (
	netA = "aaaa0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
	netB = "bbbb0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
	ep1  = "11110123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
	ep2  = "22220123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"

	alerts    = "../../packaging/metrics/gangway-alerts.yml"
	dashboard = "../../packaging/metrics/gangway-dashboard.json"

	prometheusAddress = "127.0.0.1:9090"
)

// prometheus is Debian's, which scrapes the daemon each second.
type prometheus struct{ t *testing.T }

func startPrometheus(t *testing.T) *prometheus {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs(alerts)
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: gangway
    static_configs: [{targets: ["%s"]}]
`, rules, lone.Address)
	if err := os.WriteFile(dir+"/prometheus.yml", []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	lone.Sh(t, "promtool check config "+dir+"/prometheus.yml")
	lone.Run(t, &lone.Log{}, nil, "prometheus", "--config.file="+dir+"/prometheus.yml", "--storage.tsdb.path="+dir+"/data", "--web.listen-address="+prometheusAddress)
	p := &prometheus{t}
	testkit.Eventually(t, "Prometheus scrapes", func() bool { v, ok := p.query(`up{job="gangway"}`); return ok && v == 1 })
	return p
}

// get asks the API.
func (p *prometheus) get(path string, into any) error {
	resp, err := http.Get("http://" + prometheusAddress + "/api/v1/" + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// query returns the value of the only series that an expression has.
func (p *prometheus) query(expr string) (value float64, ok bool) {
	var got struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := p.get("query?query="+url.QueryEscape(expr), &got); err != nil || len(got.Data.Result) != 1 {
		return 0, false
	}
	value, err := strconv.ParseFloat(got.Data.Result[0].Value[1].(string), 64)
	return value, err == nil
}

// sees waits until an expression has a value that is right.
func (p *prometheus) sees(expr string, right func(float64) bool) {
	p.t.Helper()
	var last float64
	var known bool
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s was last %v (%t)", expr, last, known)
		}
	}()
	testkit.Eventually(p.t, expr, func() bool {
		last, known = p.query(expr)
		return known && right(last)
	})
}

func is(want float64) func(float64) bool { return func(v float64) bool { return v == want } }

func between(least, most float64) func(float64) bool {
	return func(v float64) bool { return v >= least && v <= most }
}

// TestPrometheus: Debian's Prometheus sees what real containers do, and takes the alerts.
func TestPrometheus(t *testing.T) {
	testkit.Need(t, "prometheus", "promtool", "ping")
	lone.Sh(t, "promtool check rules "+alerts)
	d := lone.Start(t)
	poolA, gatewayA := d.Network(netA, "10.71.0.0/24")
	poolB, gatewayB := d.Network(netB, "10.72.0.0/24", "gangway.egress.deny", "198.51.100.0/24")
	first := d.Container(netA, ep1, poolA, gatewayA, 8071)
	second := d.Container(netB, ep2, poolB, gatewayB, 8072)
	p := startPrometheus(t)
	endpoint := func(name string) string {
		return fmt.Sprintf(`%s{endpoint="%s",network="%s"}`, name, ep1[:12], netA[:12])
	}
	before, known := p.query(endpoint("gangway_endpoint_transmit_bytes_total"))
	if !known {
		t.Fatal("no bytes of the container")
	}

	// 100 packets of 1000 bytes, with the headers of ICMP, IPv4 and Ethernet.
	const packets, size = 100, 1000 + 8 + 20 + 14
	first.Sh("ping -q -c 100 -i 0.01 -s 1000 " + lone.Plain(gatewayA))
	for _, name := range []string{"gangway_endpoint_transmit_bytes_total", "gangway_endpoint_receive_bytes_total"} {
		p.sees(endpoint(name), between(packets*size, before+packets*size+5000))
	}
	p.sees(endpoint("gangway_endpoint_transmit_packets_total"), between(packets, packets+50))
	p.sees(fmt.Sprintf(`gangway_endpoint_transmit_bytes_total{endpoint="%s"}`, ep2[:12]), between(0, 5000))

	// Into another network.
	first.Sh("ping -q -c 20 -i 0.01 -W 1 " + lone.Plain(second.Address) + " || :")
	p.sees(fmt.Sprintf(`sum by (reason) (gangway_network_refused_packets_total{network="%s",reason="isolated"})`, netB[:12]), is(20))
	p.sees(`gangway_refused_packets_total{reason="isolated"}`, is(20))
	p.sees(`gangway_refused_packets_total{reason="icc"}`, is(0))

	// Somebody sets a bridge down.
	lone.Sh(t, "ip link set gw-"+netA[:12]+" down")
	p.sees(`gangway_repairs_total{kind="bridge"}`, is(1))
	p.sees(`gangway_events_total{kind="repair"}`, is(1))

	for expr, want := range map[string]float64{
		"gangway_networks": 2, `gangway_network_endpoints{network="` + netA[:12] + `"}`: 1,
		`gangway_health_state{state="ok"}`: 1, `sum(gangway_health_state)`: 1, "gangway_calls_in_flight": 0, "gangway_flapping_repairs": 0,
		`gangway_calls_total{call="NetworkDriver.Join",result="ok"}`: 2, `gangway_calls_total{call="NetworkDriver.Join",result="failed"}`: 0,
		`gangway_call_duration_seconds_count{call="NetworkDriver.Join"}`:      2,
		`gangway_pool_used_addresses{pool="gangway-local/10.71.0.0/24"}`:      2,
		`gangway_pool_free_addresses{pool="gangway-local/10.71.0.0/24"}`:      252,
		`gangway_published_ports{network="` + netA[:12] + `",protocol="tcp"}`: 2, // of both families
		`gangway_scrape_source_success{source="traffic"}`:                     1, `gangway_scrape_source_success{source="conntrack"}`: 1,
	} {
		p.sees(expr, is(want))
	}
	p.sees("gangway_conntrack_entries", func(v float64) bool { return v > 0 })
	p.sees("gangway_conntrack_entries_limit", func(v float64) bool { return v > 1000 })
	p.sees(`process_resident_memory_bytes{job="gangway"}`, func(v float64) bool { return v > 1<<20 })
	p.rules()
	p.panels()

	// A call that fails, and one that does not hold.
	if status, answer, err := testkit.Call(d.Client, "NetworkDriver.Join", "{"); err != nil || status == http.StatusOK {
		t.Errorf("%d %s %v", status, answer, err)
	}
	p.sees(`gangway_calls_total{call="NetworkDriver.Join",result="refused"}`, is(1))

	everyMetric(t, d)
	logIsJSON(t, d)
}

// rules: Prometheus can evaluate each alert, and none is on.
func (p *prometheus) rules() {
	p.t.Helper()
	type rule struct{ Name, Health, LastError, State string }
	var bad, all []rule
	testkit.Eventually(p.t, "the alerts are evaluated", func() bool {
		var got struct {
			Data struct{ Groups []struct{ Rules []rule } }
		}
		if err := p.get("rules", &got); err != nil || len(got.Data.Groups) != 1 {
			return false
		}
		all = got.Data.Groups[0].Rules
		return !slices.ContainsFunc(all, func(r rule) bool { return r.Health == "unknown" })
	})
	for _, r := range all {
		if r.Health != "ok" || r.State == "firing" {
			bad = append(bad, r)
		}
	}
	if len(all) < 10 || len(bad) > 0 {
		p.t.Errorf("of %d alerts these are not as they should be: %+v", len(all), bad)
	}
}

// panels: Prometheus has an answer to each question of the dashboard.
func (p *prometheus) panels() {
	p.t.Helper()
	text, err := os.ReadFile(dashboard)
	if err != nil {
		p.t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		p.t.Fatal(err)
	}
	asked := 0
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			asked++
			expr := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$network", ".*").Replace(target.Expr)
			var got struct {
				Status, Error string
				Data          struct{ Result []any }
			}
			if err := p.get("query?query="+url.QueryEscape(expr), &got); err != nil || got.Status != "success" || len(got.Data.Result) == 0 {
				p.t.Errorf("panel %s: %s: %s %s, %d series, %v", panel.Title, expr, got.Status, got.Error, len(got.Data.Result), err)
			}
		}
	}
	if asked < 20 {
		p.t.Errorf("the dashboard asks %d times", asked)
	}
}

// served returns the text of both places, and fails where they differ in kind.
func served(t *testing.T, d *lone.Daemon) string {
	t.Helper()
	var texts []string
	for _, c := range []*http.Client{d.Client, http.DefaultClient} {
		resp, err := c.Get("http://" + lone.Address + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %v", resp.Status, err)
		}
		_ = resp.Body.Close()
		texts = append(texts, string(text))
	}
	if a, b := familiesOf(texts[0]), familiesOf(texts[1]); !slices.Equal(a, b) {
		t.Errorf("on the socket\n%v\non TCP\n%v", a, b)
	}
	return texts[1]
}

func familiesOf(text string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) `).FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return slices.Sorted(slices.Values(names))
}

// everyMetric: promtool has no objection, what is served is what the table has, and what
// dashboard and alerts use is served.
func everyMetric(t *testing.T, d *lone.Daemon) {
	t.Helper()
	text := served(t, d)
	check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	check.Stdin = strings.NewReader(text)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	known := map[string]bool{"up": true} // Prometheus's own
	for _, name := range familiesOf(text) {
		known[name] = true
	}
	for _, row := range metrics.Table() {
		if !known[row.Name] {
			t.Errorf("%s is in the table, and not served", row.Name)
		}
		if row.Type == metrics.Histogram {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				known[row.Name+part] = true
			}
		}
	}
	for _, file := range []string{alerts, dashboard} {
		used := usedBy(t, file)
		if len(used) < 10 {
			t.Errorf("%s uses %d metrics: %v", file, len(used), used)
		}
		for _, name := range used {
			if !known[name] {
				t.Errorf("%s uses %s, which is not served", file, name)
			}
		}
	}
}

// usedBy returns the metrics that the expressions of a file name.
func usedBy(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\s*"?(?:expr|query|definition)"?: (.*)$`).FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile(`\b(?:up|(?:gangway|process|go)_\w+)\b`).FindAllString(m[1], -1) {
			used[name] = true
		}
	}
	return slices.Sorted(maps.Keys(used))
}

// logIsJSON: each line of the daemon's log is a JSON object with the fields that there
// are in a text as well.
func logIsJSON(t *testing.T, d *lone.Daemon) {
	t.Helper()
	joined := false
	for line := range strings.Lines(d.Log.String()) {
		var got struct{ Time, Level, Msg, Op, Dur, Net, Ep string }
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Time == "" || got.Level == "" || got.Msg == "" {
			t.Errorf("%v: %s", err, line)
		}
		joined = joined || got.Op == "NetworkDriver.Join" && got.Net == netA[:12] && got.Ep == ep1[:12] && strings.HasSuffix(got.Dur, "s")
	}
	if !joined {
		t.Errorf("no call of Join in the log:\n%s", d.Log)
	}
}
