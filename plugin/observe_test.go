package plugin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
)

// tally notes what it is told.
type tally struct {
	mu   sync.Mutex
	told []string
}

func (c *tally) Answered(call, result string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if took <= 0 {
		result += " in no time"
	}
	c.told = append(c.told, call+" "+result)
}

// TestCalls: each call is told of once, with its name and result.
func TestCalls(t *testing.T) {
	c := &tally{}
	d := ready(t, func(o *Options) { o.Calls = c })
	body := samples()["NetworkDriver.Join"]
	d.call(t, "NetworkDriver.Join", body)
	d.domain.setHook(func(context.Context, string) error {
		if n := d.InFlight(); n != 1 {
			t.Errorf("%d calls under way in one", n)
		}
		return errors.New("no")
	})
	d.call(t, "NetworkDriver.Join", body)
	d.domain.setHook(func(context.Context, string) error { panic("boom") })
	d.call(t, "NetworkDriver.Join", body)
	d.call(t, "NetworkDriver.Join", "{")
	d.call(t, "NetworkDriver.Nonsense", "{}") // names that a client makes up are no labels
	want := []string{"NetworkDriver.Join ok", "NetworkDriver.Join failed", "NetworkDriver.Join failed", "NetworkDriver.Join refused"}
	if names := d.CallNames(); len(names) < 15 || !slices.Contains(names, "NetworkDriver.Join") || !slices.Contains(names, "IpamDriver.RequestPool") {
		t.Errorf("calls %q", names)
	}
	if !slices.Equal(c.told, want) || d.InFlight() != 0 {
		t.Errorf("told %q, want %q; %d under way", c.told, want, d.InFlight())
	}
}

// TestMetricsPath: metrics are there before the state is restored, only to be read, and
// not of a daemon that refuses to work.
func TestMetricsPath(t *testing.T) {
	metrics := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "numbers") })
	refuse := func(o *Options) {
		o.Refuse, o.Networks, o.Addresses, o.Inspector = errors.New("wrong setting"), nil, nil, nil
	}
	for _, tt := range []struct {
		change func(*Options)
		method string
		status int
		text   string
	}{
		{func(o *Options) { o.Metrics = metrics }, http.MethodGet, http.StatusOK, "numbers"},
		{func(o *Options) { o.Metrics = metrics }, http.MethodPost, http.StatusMethodNotAllowed, "GET"},
		{nil, http.MethodGet, http.StatusNotFound, "no metrics"},
		{refuse, http.MethodGet, http.StatusServiceUnavailable, "wrong setting"},
	} {
		d := start(t, tt.change)
		req, err := http.NewRequest(tt.method, "http://gangway/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := d.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.status || !strings.Contains(string(text), tt.text) {
			t.Errorf("%s: %d %s, want %d %s", tt.method, resp.StatusCode, text, tt.status, tt.text)
		}
	}
}

// TestCauses: what is not the datapath's comes to what is, the worst first; before the state is
// restored that is the one cause of the datapath.
func TestCauses(t *testing.T) {
	s, _, _ := newServer(t, func(o *Options) {
		o.Causes = func() []cause.Cause { return []cause.Cause{cause.Of(cause.Unserved, "no metrics")} }
	})
	failed := driver.Status{Causes: []cause.Cause{cause.Of(cause.Hung, "a"), cause.Of(cause.CheckFailed, "b")}}
	codes := func(all []cause.Cause) (list []cause.Code) {
		for _, c := range all {
			list = append(list, c.Code)
		}
		return list
	}
	if got := codes(s.Causes(failed)); !slices.Equal(got, []cause.Code{cause.Restoring, cause.Unserved}) {
		t.Errorf("before the state is restored: %v", got)
	}
	s.Ready()
	if got := codes(s.Causes(failed)); !slices.Equal(got, []cause.Code{cause.CheckFailed, cause.Hung, cause.Unserved}) {
		t.Errorf("%v", got)
	}
	if failed.Causes[0].Code != cause.Hung {
		t.Error("the datapath's own list has changed")
	}
}
