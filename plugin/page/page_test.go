package page

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/graph/graphtest"
)

// source is a host that a test changes, and that counts who asks.
type source struct {
	mu        sync.Mutex
	host      *graphtest.Host
	events    []plugin.Event
	err       error
	asked     int
	following int
	packets   chan plugin.DroppedPacket
}

func newSource() *source {
	return &source{host: graphtest.Shop(), packets: make(chan plugin.DroppedPacket)}
}

func (s *source) Graph(context.Context) (plugin.Graph, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	g := s.host.Graph
	g.Networks, g.Endpoints, g.Ports = slices.Clone(g.Networks), slices.Clone(g.Endpoints), slices.Clone(g.Ports)
	return g, s.err
}

func (s *source) EventsAfter(_ context.Context, number uint64) ([]plugin.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[min(number, uint64(len(s.events))):], nil
}

func (s *source) FollowDrops(ctx context.Context, take func(plugin.DroppedPacket) error) error {
	s.count(1)
	defer s.count(-1)
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-s.packets:
			if err := take(p); err != nil {
				return err
			}
		}
	}
}

func (s *source) count(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.following += n
}

func (s *source) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func newPage(s Source, token string) *Page {
	return New(Options{Source: s, Token: token, Log: testkit.Quiet(), Every: 10 * time.Millisecond, Host: func() ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.80.0.1"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::1")}, nil
	}})
}

func ask(t *testing.T, p http.Handler, method, path string, edit func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.Host = "127.0.0.1:9324"
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

// TestDocument: the page has all its parts, and refers to nothing else.
func TestDocument(t *testing.T) {
	text := ask(t, newPage(newSource(), ""), http.MethodGet, "/", nil).Body.String()
	for _, part := range []string{"<style>\n", ":focus-visible", "<script>\n", "\"use strict\"", "function takeGraph", "connect();\n}\n</script>"} {
		if !strings.Contains(text, part) {
			t.Errorf("the page has no %q", part)
		}
	}
	for _, foreign := range []string{"src=", "http://", "@import", "url(", "innerHTML", "file does not exist", "<!-- s", " style=", " onclick="} {
		at := strings.Index(text, foreign)
		if at >= 0 && !strings.HasPrefix(text[at:], "http://www.w3.org/2000/svg") {
			t.Errorf("the page has %q: …%s…", foreign, text[max(0, at-40):at+40])
		}
	}
	if strings.Count(text, "</script") != 1 || strings.Count(text, "</style") != 1 {
		t.Error("a script or style ends early")
	}
	if n := len(text); n > 60<<10 {
		t.Errorf("the page has %d bytes", n)
	}
}

// TestHeaders: all answers say what a browser must not do with them.
func TestHeaders(t *testing.T) {
	p := newPage(newSource(), "")
	for _, path := range []string{"/", "/ways", "/nothing"} {
		h := ask(t, p, http.MethodGet, path, nil).Header()
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{
			"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-", "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
			"frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
		} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: no %s in %s", path, part, policy)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: %s", path, policy)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Set-Cookie": "", "Access-Control-Allow-Origin": "",
			"Cross-Origin-Resource-Policy": "same-origin", "X-Frame-Options": "DENY", "Connection": "close",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, h.Get(name), want)
			}
		}
	}
}

// TestRefused: only reading, only known paths, only hosts that are nobody else's, only the
// page itself, and only who has the token.
func TestRefused(t *testing.T) {
	const token = "0123456789abcdef"
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, c := range []struct {
		token, method, path string
		edit                func(*http.Request)
		status              int
	}{
		{"", "GET", "/", nil, 200}, {"", "POST", "/", nil, 405}, {"", "HEAD", "/", nil, 405}, {"", "PUT", "/live", nil, 405}, {"", "OPTIONS", "/ways", nil, 405}, {"", "DELETE", "/live", nil, 405},
		{"", "GET", "/page.html", nil, 404}, {"", "GET", "/assets/main.js", nil, 404}, {"", "GET", "/gangway/v1/graph", nil, 404}, {"", "GET", "/../", nil, 404}, {"", "POST", "/NetworkDriver.DeleteNetwork", nil, 404},
		{"", "GET", "/ways", nil, 404},
		{"", "GET", "/", host("localhost"), 200}, {"", "GET", "/", host("localhost:8080"), 200}, {"", "GET", "/", host("[::1]:9324"), 200}, {"", "GET", "/", host("[::1]"), 200}, {"", "GET", "/", host("192.0.2.1"), 200},
		{"", "GET", "/", host("rebound.example"), 403}, {"", "GET", "/", host("127.0.0.1.example:9324"), 403}, {"", "GET", "/", host("localhost.example"), 403}, {"", "GET", "/", host(""), 403}, {"", "GET", "/", host("gangway"), 403},
		{"", "GET", "/live", host("rebound.example"), 403}, {"", "GET", "/ways", host("rebound.example"), 403},
		{token, "GET", "/", host("gangway.example"), 200}, {token, "GET", "/live", host("gangway.example"), 401},
		{"", "GET", "/ways", header("Sec-Fetch-Site", "cross-site"), 403}, {"", "GET", "/live", header("Sec-Fetch-Site", "same-site"), 403}, {"", "GET", "/ways", header("Sec-Fetch-Site", "same-origin"), 404},
		{token, "GET", "/", nil, 200}, {token, "GET", "/live", nil, 401}, {token, "GET", "/ways", nil, 401},
		{token, "GET", "/ways", header("Authorization", "Bearer "+token), 404}, {token, "GET", "/ways", header("Authorization", token), 401}, {token, "GET", "/ways", header("Authorization", "bearer "+token), 401},
		{token, "GET", "/ways", header("Authorization", "Bearer "+token[1:]), 401}, {token, "GET", "/ways", header("Authorization", "Bearer "), 401}, {token, "GET", "/ways?token=" + token, nil, 401},
		{token, "GET", "/ways", header("Cookie", "token="+token), 401},
	} {
		w := ask(t, newPage(newSource(), c.token), c.method, c.path, c.edit)
		if w.Code != c.status {
			t.Errorf("token %q, %s %s: %d %.100s, want %d", c.token, c.method, c.path, w.Code, w.Body, c.status)
		}
		if w.Code != 200 && (strings.Contains(w.Body.String(), token) || !json.Valid(w.Body.Bytes())) {
			t.Errorf("%s %s: answers %s", c.method, c.path, w.Body)
		}
	}
}

// viewer reads lines of a page that is really served.
type viewer struct {
	t     *testing.T
	lines *bufio.Reader
	close func()
}

func view(t *testing.T, url string) *viewer {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{t, bufio.NewReader(resp.Body), func() { stop(); _ = resp.Body.Close() }}
	t.Cleanup(v.close)
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s", resp.Status, text)
	}
	return v
}

// until reads lines until one is right.
func (v *viewer) until(what string, right func(message) bool) message {
	v.t.Helper()
	for deadline := time.Now().Add(testkit.Patience); time.Now().Before(deadline); {
		line, err := v.lines.ReadBytes('\n')
		var m message
		if err == nil {
			err = json.Unmarshal(line, &m)
		}
		if err != nil {
			v.t.Fatalf("%s: %v", what, err)
		}
		if right(m) {
			return m
		}
	}
	v.t.Fatalf("never told: %s", what)
	return message{}
}

func served(t *testing.T, p *Page) string {
	t.Helper()
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return server.URL
}

// TestLive: who comes is told all, and then what changes; who comes later as well.
func TestLive(t *testing.T) {
	s := newSource()
	url := served(t, newPage(s, ""))
	v := view(t, url)
	m := v.until("the first picture", func(m message) bool { return m.Graph != nil })
	var g plugin.Graph
	if err := json.Unmarshal(m.Graph, &g); err != nil || len(g.Endpoints) != 8 || g.Endpoints[0].Traffic != nil || m.Tick == nil || m.Tick.Status.State != "ok" {
		t.Errorf("the first line: %v %+v", err, m)
	}
	v.until("a sample without a new picture", func(m message) bool { return m.Tick != nil && m.Graph == nil })

	traffic(t, s, v)
	news(t, s, v)
	late := view(t, url)
	m = late.until("all at once", func(message) bool { return true })
	if !strings.Contains(string(m.Graph), `"new"`) || len(m.Events) != 1 || len(m.Packets) != 1 || m.Tick == nil {
		t.Errorf("who comes later is told %+v", m)
	}
	failures(t, s, v, late)
}

// traffic: a rate is told while there is one.
func traffic(t *testing.T, s *source, v *viewer) {
	t.Helper()
	s.change(func() { s.host.Endpoints[2].Traffic = &plugin.Passed{SentBytes: 1 << 30, ReceivedBytes: 1 << 20} })
	m := v.until("traffic", func(m message) bool { return m.Tick != nil && len(m.Tick.Rates) > 0 })
	if m.Graph != nil || len(m.Tick.Rates) != 1 || m.Tick.Rates[0][0] != 2 || m.Tick.Rates[0][1] < 100*m.Tick.Rates[0][2] {
		t.Errorf("traffic of the third: %+v", m.Tick.Rates)
	}
	v.until("silence", func(m message) bool { return m.Tick != nil && len(m.Tick.Rates) == 0 })
}

// news: events, packets, sums and containers are told as they come.
func news(t *testing.T, s *source, v *viewer) {
	t.Helper()
	s.change(func() { s.events = append(s.events, plugin.Event{Number: 1, Kind: events.Repair}) })
	v.until("an event", func(m message) bool { return len(m.Events) == 1 && m.Events[0].Number == 1 })
	s.packets <- plugin.DroppedPacket{Reason: "icc"}
	v.until("a packet", func(m message) bool { return len(m.Packets) == 1 && m.Packets[0].Reason == "icc" })
	s.change(func() { s.host.Networks[1].Dropped = driver.Drops{"icc": 3} })
	m := v.until("the sum", func(m message) bool { return m.Tick != nil && len(m.Tick.Networks) > 0 })
	if m.Graph != nil || m.Tick.Networks[1].Total() != 3 {
		t.Errorf("refused: %+v", m.Tick)
	}
	s.change(func() { s.host.Container("new", s.host.Networks[0].ID, "10.81.0.9/24") })
	v.until("a container", func(m message) bool { return strings.Contains(string(m.Graph), `"new"`) })
}

// failures: who looks is told of one, and of its end.
func failures(t *testing.T, s *source, v, late *viewer) {
	t.Helper()
	s.change(func() { s.err = errors.New("on strike") })
	m := v.until("a failure", func(m message) bool { return m.Error != "" })
	if m.Error != "on strike" || m.Graph != nil {
		t.Errorf("a failure: %+v", m)
	}
	s.change(func() { s.err = nil })
	late.until("a failure, too", func(m message) bool { return m.Error != "" })
	v.until("the picture again", func(m message) bool { return m.Graph != nil })
}

// TestOneSampler: however many look, one asks; and when nobody does, nobody asks.
func TestOneSampler(t *testing.T) {
	s := newSource()
	p := newPage(s, "")
	url := served(t, p)
	following := func() (n int) { s.change(func() { n = s.following }); return n }
	if s.asked != 0 || following() != 0 {
		t.Error("asked before anybody looks")
	}
	var all []*viewer
	for range maxViewers {
		all = append(all, view(t, url))
	}
	for _, v := range all {
		v.until("a sample", func(m message) bool { return m.Tick != nil })
	}
	testkit.Eventually(t, "packets are followed", func() bool { return following() == 1 })
	if w := ask(t, p, http.MethodGet, "/live", nil); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "too many") {
		t.Errorf("one viewer more: %d %s", w.Code, w.Body)
	}
	all[0].close()
	testkit.Eventually(t, "there is room again", func() bool { return p.live.count() == maxViewers-1 })
	view(t, url).until("a sample", func(m message) bool { return m.Tick != nil })
	for _, v := range all {
		v.close()
	}
	http.DefaultClient.CloseIdleConnections()
	testkit.Eventually(t, "one is left", func() bool { return p.live.count() == 1 })
	if following() != 1 {
		t.Error("the last viewer is told of no packets")
	}
}

// TestNobodyLooks: the sampler ends with the last viewer, and the next starts anew.
func TestNobodyLooks(t *testing.T) {
	s := newSource()
	p := newPage(s, "")
	url := served(t, p)
	for range 3 {
		v := view(t, url)
		v.until("a sample", func(m message) bool { return m.Graph != nil })
		v.close()
		testkit.Eventually(t, "nobody looks", func() bool { return p.live.count() == 0 })
		testkit.Eventually(t, "nobody asks", func() bool {
			var n int
			s.change(func() { n = s.following })
			return n == 0
		})
	}
}

// TestSlowViewer: who does not read is given up, and holds up nobody.
func TestSlowViewer(t *testing.T) {
	p := newPage(newSource(), "")
	lines, ok := p.live.join()
	if !ok {
		t.Fatal("no room")
	}
	defer p.live.leave(lines)
	testkit.Eventually(t, "it is given up", func() bool { return p.live.count() == 0 })
	n := 0
	for range lines {
		n++
	}
	if n != backlog {
		t.Errorf("%d lines were kept, want %d", n, backlog)
	}
}

func (l *live) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.viewers)
}

// TestManyPackets: what is kept is bounded.
func TestManyPackets(t *testing.T) {
	list := []int{}
	for i := range 10 * kept {
		list = latest(list, []int{i})
	}
	if len(list) != kept || list[kept-1] != 10*kept-1 {
		t.Errorf("%d are kept, the last is %d", len(list), list[len(list)-1])
	}
}

// TestPerSecond: a counter that is another link's makes no rate.
func TestPerSecond(t *testing.T) {
	for _, c := range []struct {
		before, after uint64
		seconds       float64
		want          uint64
	}{{0, 10, 2, 5}, {10, 10, 2, 0}, {10, 5, 2, 0}, {0, 10, 0, 0}, {0, 10, -1, 0}, {0, 1, 2, 1}, {0, 1, 3, 0}} {
		if got := perSecond(c.before, c.after, c.seconds); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
