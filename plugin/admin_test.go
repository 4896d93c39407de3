package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/integration/testkit"
)

func (d *daemon) get(t *testing.T, name string) (int, string) {
	t.Helper()
	resp, err := d.client.Get("http://gangway" + AdminPath + name)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("%s: Content-Type %q", name, ct)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func (d *daemon) expect(t *testing.T, name string, status int, want string) {
	t.Helper()
	if got, text := d.get(t, name); got != status || text != want {
		t.Errorf("%s: got %d %s, want %d %s", name, got, text, status, want)
	}
}

// TestAdminGivesUp: a question that waited for the state in vain says so.
func TestAdminGivesUp(t *testing.T) {
	d := start(t, func(o *Options) { o.VerbTime = 20 * time.Millisecond })
	for _, name := range []string{"status", "networks", "endpoints", "ports"} {
		if status, text := d.get(t, name); status != 503 || !strings.Contains(text, "still restoring") {
			t.Errorf("%s before the state is restored: %d %s", name, status, text)
		}
	}
}

func TestAdmin(t *testing.T) {
	d := start(t, nil)
	if status, text := d.get(t, "health"); status != 503 || !strings.HasPrefix(text, `{"state":"degraded","causes":[{"code":"restoring","state":"degraded","what":"networks are being restored since`) {
		t.Errorf("health before the state is restored: %d %s", status, text)
	}
	d.expect(t, "version", 200, `{"version":"v1"}`)
	// A question waits for the state.
	var restored atomic.Bool
	time.AfterFunc(20*time.Millisecond, func() {
		restored.Store(true)
		d.Ready()
	})
	d.expect(t, "networks", 200, `[]`)
	if !restored.Load() {
		t.Error("an answer before the state is restored")
	}
	d.expect(t, "health", 200, `{"state":"ok"}`)
	d.expect(t, "endpoints", 200, `[]`)
	d.expect(t, "ports", 200, `[]`)
	d.domain.ports = []driver.PortStatus{{Protocol: "tcp", HostIP: netip.MustParseAddr("::"), First: 80, Last: 80, ContainerIP: netip.MustParseAddr("fd00::2"), ContainerFirst: 8080, Path: "nat"}}
	if _, text := d.get(t, "ports"); !strings.Contains(text, `"hostIP":"::","first":80,"last":80,"containerIP":"fd00::2","containerFirst":8080,"path":"nat"`) {
		t.Errorf("ports: %s", text)
	}
	d.domain.endpointsErr = errors.New("list links: no memory")
	d.expect(t, "endpoints", 500, `{"error":"list links: no memory"}`)

	d.call(t, "NetworkDriver.Leave", `{}`)
	d.domain.mu.Lock()
	port, bridge := cause.Cause{Code: "a", State: cause.Degraded, What: "port 80 is not held", Why: "b", Do: "c"}, cause.Cause{Code: "d", State: cause.Problem, What: "bridge gw-1 is gone"}
	d.domain.status = driver.Status{Firewall: "iptables", Causes: []cause.Cause{port}}
	d.domain.mu.Unlock()
	const degraded = `{"code":"a","state":"degraded","what":"port 80 is not held","why":"b","do":"c"}`
	d.expect(t, "health", 503, `{"state":"degraded","causes":[`+degraded+`]}`)
	d.domain.mu.Lock()
	d.domain.status.Causes = []cause.Cause{port, bridge}
	d.domain.mu.Unlock()
	d.expect(t, "health", 503, `{"state":"problem","causes":[{"code":"d","state":"problem","what":"bridge gw-1 is gone","why":"","do":""},`+degraded+`]}`)
	d.domain.mu.Lock()
	d.domain.status.Causes = []cause.Cause{{Code: "e", State: cause.OK, What: "f"}}
	d.domain.mu.Unlock()
	d.expect(t, "health", 200, `{"state":"ok","causes":[{"code":"e","state":"ok","what":"f","why":"","do":""}]}`)
	d.domain.mu.Lock()
	d.domain.status.Causes = []cause.Cause{bridge}
	d.domain.mu.Unlock()
	var s Status
	_, text := d.get(t, "status")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatal(err)
	}
	if s.State != cause.Problem || s.Firewall != "iptables" || s.Served != 1 || s.Failed != 1 || s.Version.Version != "v1" || s.Started.IsZero() {
		t.Errorf("status: %s", text)
	}
}

func TestAdminEvents(t *testing.T) {
	d := ready(t, nil)
	d.expect(t, "events", 200, `[]`)
	d.domain.events = []events.Event{{Number: 1, Kind: events.Repair, Text: "a"}, {Number: 2, Kind: events.Flapping, Text: "b"}}
	d.expect(t, EventsQuery(1, time.Second), 200, `[{"number":2,"time":"0001-01-01T00:00:00Z","kind":"flapping","text":"b"}]`)
	for _, bad := range []string{"after=-1", "after=x", "wait=x", "wait=-1", "wait=16", "wait=99999999999"} {
		if status, text := d.get(t, "events?"+bad); status != 400 || !strings.Contains(text, "want") {
			t.Errorf("%s: %d %s", bad, status, text)
		}
	}
	// Who waits does not hold up the end of the daemon.
	answer := make(chan string, 1)
	go func() {
		_, text := d.get(t, EventsQuery(2, MaxEventWait))
		answer <- text
	}()
	testkit.Eventually(t, "the question arrives", func() bool { return d.domain.waiting.Load() })
	d.stop()
	if text := <-answer; text != "[]" {
		t.Errorf("answer at the end: %s", text)
	}
	if err := d.wait(t); err != nil {
		t.Errorf("end: %v", err)
	}
}

func TestAdminIsReadOnly(t *testing.T) {
	d := ready(t, nil)
	for _, name := range []string{"health", "status", "networks", "endpoints", "ports", "events", "version"} {
		resp, err := d.client.Post("http://gangway"+AdminPath+name, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", name, resp.StatusCode)
		}
	}
}

// TestAdminPanic: a panic outside of the calls is an answer as well.
func TestAdminPanic(t *testing.T) {
	d := ready(t, func(o *Options) { o.Inspector = panicking{} })
	resp, err := d.client.Get("http://gangway" + AdminPath + "ports")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(string(text), "panic: boom") {
		t.Errorf("got %d %s", resp.StatusCode, text)
	}
}

type panicking struct{ Inspector }

func (panicking) Ports(context.Context) []driver.PortStatus { panic("boom") }
