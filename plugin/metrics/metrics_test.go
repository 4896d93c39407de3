package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/golden"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/ipam"
	"github.com/gangway-net/gangway/plugin"
)

const (
	netID   = "0123456789abcdef0123456789abcdef"
	epID    = "e0e1e2e3e4e5e6e7e0e1e2e3e4e5e6e7"
	otherEP = "f0f1f2f3f4f5f6f7f0f1f2f3f4f5f6f7"
)

// host is everything that metrics are made from.
type host struct {
	starting bool
	measures driver.Measures
	traffic  map[string]spec.Traffic
	err      error
	// hangs keeps the kernel from answering until it is closed.
	hangs chan struct{}
	asked atomic.Int64
	names map[string]string
}

func (h *host) Restored() bool { return !h.starting }
func (h *host) Causes(of driver.Status) []cause.Cause {
	if h.starting {
		return []cause.Cause{cause.Of(cause.Restoring, "a")}
	}
	return of.Causes
}
func (h *host) InFlight() int64                          { return 3 }
func (h *host) CallNames() []string                      { return []string{"NetworkDriver.Join", "NetworkDriver.Leave"} }
func (h *host) Measures(context.Context) driver.Measures { return h.measures }
func (h *host) Use() (spec.FlowUse, error)               { return spec.FlowUse{Flows: 7, Limit: 65536}, h.err }
func (h *host) Names(network, endpoint string) (n, c string) {
	return h.names[network], h.names[endpoint]
}

func (h *host) Traffic(context.Context) (map[string]spec.Traffic, error) {
	h.asked.Add(1)
	if h.hangs != nil {
		<-h.hangs
	}
	return h.traffic, h.err
}

func (h *host) Pools() []ipam.PoolStatus {
	return []ipam.PoolStatus{{ID: "gangway-local/10.200.0.0/24", InUse: 2, Free: 252}, {ID: "gangway-local/fd00::/64", InUse: 1, Free: 1 << 64}}
}

func newHost() *host {
	drops := driver.Drops{firewall.Spoofed: 1, firewall.Unpublished: 0, firewall.Isolated: 4, firewall.NoICC: 0}
	return &host{
		measures: driver.Measures{
			Status: driver.Status{
				Firewall: "nftables", Protection: "owned table", Networks: 1, Endpoints: 2, Checks: 71, Repairs: 3,
				LastCheck: time.UnixMilli(1_700_000_000_500), Dropped: driver.Drops{firewall.Spoofed: 9}, Causes: []cause.Cause{cause.Of(cause.Hung, "a"), cause.Of(cause.Hung, "b"), cause.Of(cause.Unprotected, "c")},
			},
			Mended: map[string]uint64{"rules": 2, "link pair": 1}, Flapping: 1, Told: map[string]uint64{"repair": 3, "problem": 0},
			Policies: []driver.Decisions{
				{NetworkID: netID, Policy: "0a1b2c3d4e5f", Entries: entries(40)},
				{NetworkID: netID, EndpointID: epID, Policy: "0a1b2c3d4e5f", Sharers: 1, Entries: entries(40)},
				{NetworkID: netID, EndpointID: otherEP, Policy: "ffffffffffff", Audited: true, Entries: []policy.Use{{Entry: policy.Entry{Option: policy.OptionIngress, Value: "lan"}, Packets: 2}}},
			},
			OnNets: []driver.NetworkMeasures{{ID: netID, Endpoints: []string{epID, otherEP}, Ports: map[string]int{"tcp": 5, "udp": 1}, Dropped: drops}},
		},
		traffic: map[string]spec.Traffic{epID: {SentBytes: 1, SentPackets: 2, ReceivedBytes: 3, ReceivedPackets: 1 << 60}, "unknown": {}},
		names:   map[string]string{netID: "front"},
	}
}

// entries are those of a long list.
func entries(n int) (all []policy.Use) {
	for i := range n {
		all = append(all, policy.Use{Entry: policy.Entry{Option: policy.OptionAllow, Value: fmt.Sprintf("10.0.0.%d:443", i)}, Passes: true, Packets: uint64(i)})
	}
	return all
}

func (h *host) metrics() *Metrics {
	m := New(Options{Datapath: h, Traffic: h, Flows: h, Pools: h, Names: h, Version: plugin.Version{Version: "1.2.3", Commit: "abc", Go: "go1"}, Log: testkit.Quiet()})
	m.Attach(h)
	return m
}

// ask returns an answer's text without what the libraries add of themselves.
func ask(t *testing.T, m http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if ct := w.Header().Get("Content-Type"); w.Code != http.StatusOK || !strings.HasPrefix(ct, "text/plain; version=0.0.4") {
		t.Fatalf("%d %s %s", w.Code, ct, w.Body)
	}
	var own strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "gangway_") {
			own.WriteString(line)
		}
	}
	for _, library := range []string{"\nprocess_resident_memory_bytes ", "\ngo_goroutines "} {
		if !strings.Contains(w.Body.String(), library) {
			t.Errorf("no%s", library)
		}
	}
	return own.String()
}

// TestScrape: the answer is what the sources say.
func TestScrape(t *testing.T) {
	m := newHost().metrics()
	m.Answered("NetworkDriver.Join", plugin.ResultOK, 1500*time.Microsecond)
	m.Answered("NetworkDriver.Join", plugin.ResultFailed, time.Minute)
	golden.Compare(t, "testdata/scrape.golden", ask(t, m))
}

// families parses an answer.
func families(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	p := expfmt.NewTextParser(model.LegacyValidation)
	all, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTable: every row is served, with its type, help and labels, and nothing else is.
func TestTable(t *testing.T) {
	m := newHost().metrics()
	m.Answered("NetworkDriver.Join", plugin.ResultOK, time.Millisecond)
	all := families(t, ask(t, m))
	for _, row := range Table() {
		f := all[row.Name]
		delete(all, row.Name)
		if f == nil {
			t.Errorf("%s is not served", row.Name)
			continue
		}
		if strings.ToLower(f.GetType().String()) != row.Type || f.GetHelp() != row.Help {
			t.Errorf("%s is %s, %q", row.Name, f.GetType(), f.GetHelp())
		}
		for _, one := range f.GetMetric() {
			var labels []string
			for _, l := range one.GetLabel() {
				labels = append(labels, l.GetName())
			}
			if d := cmp.Diff(slices.Sorted(slices.Values(row.Labels)), labels); d != "" {
				t.Errorf("labels of %s (-table +served):\n%s", row.Name, d)
			}
		}
	}
	for name := range all {
		t.Errorf("%s is in no table", name)
	}
}

// TestStarting: before networks are restored there is nothing about them.
func TestStarting(t *testing.T) {
	h := newHost()
	h.starting = true
	text := ask(t, h.metrics())
	if !strings.Contains(text, `gangway_health_state{state="degraded"} 1`) || !strings.Contains(text, `gangway_health_causes{cause="restoring",state="degraded"} 1`) || strings.Contains(text, "gangway_networks") || h.asked.Load() > 0 {
		t.Error(text)
	}
	h.starting, h.measures.Causes = false, []cause.Cause{cause.Of(cause.CheckFailed, "none of the rules is there")}
	text = ask(t, h.metrics())
	for _, line := range []string{`gangway_health_causes{cause="restoring",state="degraded"} 0`, `gangway_health_causes{cause="check-failed",state="problem"} 1`, `gangway_health_state{state="ok"} 0`, `gangway_health_state{state="problem"} 1`} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s:\n%s", line, text)
		}
	}
}

// TestNames: names of users are shown so that each is one line, and ids where there is
// no name.
func TestNames(t *testing.T) {
	h := newHost()
	h.names = map[string]string{epID: "web\n\"x\" \xff\x1b[31m"}
	text := ask(t, h.metrics())
	want := `gangway_endpoint_transmit_bytes_total{container="web\\n\"x\" \\xff\\x1b[31m",endpoint="e0e1e2e3e4e5",network="0123456789ab",network_name="0123456789ab"} 1` + "\n"
	if !strings.Contains(text, want) {
		t.Errorf("no %s:\n%s", want, text)
	}
}

// TestSourceFails: what a source does not tell is left out, and said to be.
func TestSourceFails(t *testing.T) {
	h := newHost()
	h.err = errors.New("the kernel refuses")
	text := ask(t, h.metrics())
	for line, there := range map[string]bool{
		`gangway_scrape_source_success{source="traffic"} 0`: true, `gangway_scrape_source_success{source="conntrack"} 0`: true,
		"gangway_conntrack_entries": false, "gangway_networks 1": true,
	} {
		if strings.Contains(text, line) != there {
			t.Errorf("%s: there %t:\n%s", line, !there, text)
		}
	}
}

// TestHung: a kernel that does not answer holds up nobody for long, and is asked once.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		h.hangs = make(chan struct{})
		m := h.metrics()
		start := time.Now()
		for i := range 3 {
			text := ask(t, m)
			if !strings.Contains(text, `source="traffic"} 0`) || !strings.Contains(text, "gangway_conntrack_entries 7") || strings.Contains(text, "transmit_bytes_total{") {
				t.Errorf("scrape %d:\n%s", i, text)
			}
		}
		if took := time.Since(start); took != sourceTime || h.asked.Load() != 1 {
			t.Errorf("three scrapes took %s and asked %d times", took, h.asked.Load())
		}
		close(h.hangs)
		synctest.Wait()
		if text := ask(t, m); !strings.Contains(text, `source="traffic"} 1`) {
			t.Errorf("afterwards:\n%s", text)
		}
		m.Close()
		if text := ask(t, m); !strings.Contains(text, `source="traffic"} 0`) || h.asked.Load() != 2 {
			t.Errorf("closed, and asked %d times:\n%s", h.asked.Load(), text)
		}
	})
}

// BenchmarkScrape is an answer about so many endpoints, without the kernel's share.
func BenchmarkScrape(b *testing.B) {
	for _, n := range []int{0, 1000} {
		b.Run(fmt.Sprint("endpoints=", n), func(b *testing.B) {
			h := newHost()
			h.measures.OnNets[0].Endpoints = nil
			for i := range n {
				id := fmt.Sprintf("%012d", i)
				h.traffic[id] = spec.Traffic{SentBytes: uint64(i)}
				h.measures.OnNets[0].Endpoints = append(h.measures.OnNets[0].Endpoints, id)
			}
			m := h.metrics()
			b.ReportAllocs()
			for b.Loop() {
				m.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
			}
		})
	}
}
