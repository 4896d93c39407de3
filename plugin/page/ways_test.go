package page

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestWays: who reaches a container and a port, in words.
func TestWays(t *testing.T) {
	s := newSource()
	id := func(name, network string) string {
		for _, e := range s.host.Endpoints {
			if e.ContainerName == name && e.NetworkName == network {
				return e.ID
			}
		}
		t.Fatalf("no %s on %s", name, network)
		return ""
	}
	p := newPage(s, "")
	for _, c := range []struct {
		endpoint, run string
		want          map[string]string
		text          string
	}{
		{id("web", "front"), "", map[string]string{
			"to the outside": "accepted", "from outside": "dropped", "from this host": "accepted", "from its own network": "accepted", "from networks back, monitoring": "dropped",
		}, "to 10.80.0.2:8443/tcp, the address of web on network front"},
		{id("web", "front"), "tcp,0.0.0.0,8000", map[string]string{
			"from outside": "accepted", "from this host": "accepted", "from its own network": "accepted", "from network back": "dropped", "from network monitoring": "accepted",
		}, "to 192.0.2.1:8000/tcp, a port that web on network front publishes at 0.0.0.0"},
		{id("web", "front"), "tcp,::,443", map[string]string{"from outside": "dropped", "from this host": "accepted", "from its own network": "unknown", "from networks back, monitoring": "unknown"}, "[::1]:443"},
		{id("grafana", "monitoring"), "tcp,127.0.0.1,3000", map[string]string{"from outside": "dropped", "from this host": "accepted", "from its own network": "unknown", "from networks back, front": "unknown"}, "reached by the host itself alone"},
		{id("db", "back"), "", map[string]string{
			"to the outside": "dropped", "from outside": "dropped", "from this host": "accepted", "from its own network": "accepted", "from networks front, monitoring": "dropped",
		}, "nothing leaves internal network back"},
		{id("prometheus", "monitoring"), "", map[string]string{
			"to the outside": "accepted", "from outside": "dropped", "from this host": "accepted", "from its own network": "dropped", "from networks back, front": "dropped",
		}, "enable_icc=false"},
	} {
		query := url.Values{"endpoint": {c.endpoint}}
		if c.run != "" {
			query.Set("run", c.run)
		}
		w := ask(t, p, http.MethodGet, "/ways?"+query.Encode(), nil)
		var got []way
		if err := json.Unmarshal(w.Body.Bytes(), &got); w.Code != http.StatusOK || err != nil {
			t.Fatalf("%s: %d %s", query, w.Code, w.Body)
		}
		if verdicts := verdictsOf(t, got); !maps.Equal(verdicts, c.want) {
			t.Errorf("%s: %v, want %v", query, verdicts, c.want)
		}
		if !strings.Contains(w.Body.String(), c.text) {
			t.Errorf("%s: no %q in %s", query, c.text, w.Body)
		}
	}
	for _, query := range []string{"", "endpoint=x", "endpoint=" + id("web", "front") + "&run=tcp,0.0.0.0,1", "endpoint=" + id("web", "front") + "&run="} {
		if w := ask(t, p, http.MethodGet, "/ways?"+query, nil); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

// verdictsOf are the verdicts of ways, which have words.
func verdictsOf(t *testing.T, ways []way) map[string]string {
	t.Helper()
	verdicts := map[string]string{}
	for _, w := range ways {
		verdicts[w.Title] = string(w.Verdict)
		if len(w.Steps) < 2 || strings.Contains(strings.Join(w.Steps, ""), "invalid") {
			t.Errorf("%+v", w)
		}
	}
	return verdicts
}

// TestEnumerate: of many networks some are named.
func TestEnumerate(t *testing.T) {
	for want, names := range map[string][]string{"network a": {"a"}, "networks a, b, c": {"a", "b", "c"}, "networks a, b, c and 2 more": {"a", "b", "c", "d", "e"}} {
		if got := enumerate(names); got != want {
			t.Errorf("%v: %s, want %s", names, got, want)
		}
	}
}
