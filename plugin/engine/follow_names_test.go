package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/plugin/names"
)

// namer is an engine with containers that each have one place on network n.
type namer struct {
	mu sync.Mutex // guards the rest
	// containers are names by id.
	containers map[string]string
	away       bool
	// tell is set while somebody listens; quit ends that.
	tell  func(Change)
	quit  chan struct{}
	asked []string
	// unsafe says that asking starts an engine.
	unsafe bool
}

func (n *namer) Safe() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.unsafe
}

var errAway = errors.New("away")

func (n *namer) NetworkNames(context.Context) ([]names.Network, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, "networks")
	return []names.Network{{ID: "n", Name: "front"}}, n.err()
}

func (n *namer) err() error {
	if n.away {
		return errAway
	}
	return nil
}

func (n *namer) Places(_ context.Context, ids []string) (places []names.Place, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, fmt.Sprintf("containers %d", len(ids)))
	for id, name := range n.containers {
		if len(ids) == 0 || slices.Contains(ids, id) {
			places = append(places, names.Place{EndpointID: "e-" + id, NetworkID: "n", Container: names.Container{ID: id, Name: name}})
		}
	}
	return places, n.err()
}

func (n *namer) Changes(ctx context.Context, opened func(), tell func(Change)) error {
	n.mu.Lock()
	if n.away {
		n.mu.Unlock()
		return errAway
	}
	quit := make(chan struct{})
	n.tell, n.quit = tell, quit
	n.mu.Unlock()
	opened()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-quit:
		return io.EOF
	}
}

// set changes what the engine has, and tells of it.
func (n *namer) set(id, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.containers[id] = name; name == "" {
		delete(n.containers, id)
	}
	n.tell(Change{Container: id})
}

// leave ends the engine, or lets it come back.
func (n *namer) leave(away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away = away; away {
		close(n.quit)
	}
}

func (n *namer) took() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := n.asked
	n.asked = nil
	return asked
}

// TestFollowNames: start, rename, an end, an engine that goes and comes back with
// others, in the time of a bubble.
func TestFollowNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &namer{containers: map[string]string{"1": "web"}}
		book := names.New()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go FollowNames(ctx, NameOptions{Engine: n, Names: book.Source(), Log: testkit.Quiet()})
		// called is what the endpoint is called a while later, and what was asked for that.
		called := func(endpoint, want string, asked ...string) {
			t.Helper()
			time.Sleep(2 * again)
			if got := book.Container(endpoint).Name; got != want {
				t.Errorf("%s is called %q, want %q", endpoint, got, want)
			}
			if got := n.took(); !slices.Equal(got, asked) {
				t.Errorf("asked for %v, want %v", got, asked)
			}
		}
		called("e-1", "web", "networks", "containers 0")
		if book.Network("n") != "front" {
			t.Error("the network has no name")
		}
		n.set("2", "db")
		n.set("2", "db") // connect and start
		called("e-2", "db", "containers 1")
		n.set("1", "shop")
		called("e-1", "shop", "containers 1")
		n.set("2", "")
		called("e-2", "", "containers 1")
		for i := range 100 {
			n.set(fmt.Sprint(i+10), "c")
		}
		called("e-99", "c", "containers 0")
		n.leave(true)
		called("e-1", "")
		if book.Network("n") != "" {
			t.Error("the network has a name that nobody can tell")
		}
		n.mu.Lock()
		n.containers = map[string]string{"1": "other"}
		n.mu.Unlock()
		n.leave(false)
		called("e-1", "other", "networks", "containers 0")
		// One that asking would start is let be until it is there again.
		n.mu.Lock()
		n.unsafe = true
		n.mu.Unlock()
		n.leave(true)
		n.leave(false)
		called("e-1", "")
		n.mu.Lock()
		n.unsafe = false
		n.mu.Unlock()
		called("e-1", "other", "networks", "containers 0")
		n.mu.Lock()
		n.containers["1"] = "untold"
		n.mu.Unlock()
		time.Sleep(relist)
		called("e-1", "untold", "networks", "containers 0")
	})
}

// TestNamesAsAnswered: answers and events as engines 20.10 and 28.5 give them, shortened.
func TestNamesAsAnswered(t *testing.T) {
	const id = "1111111111112222222222223333333333334444444444445555555555556666"
	list := `[{"Id":"` + id + `","Names":["/other/db","/shop-web-1"],"State":"running","NetworkSettings":{"Networks":{
		"front":{"IPAMConfig":{},"NetworkID":"n1","EndpointID":"e1","IPAddress":"10.0.0.2"},"host":{"NetworkID":"n2","EndpointID":""},"none":null}}},
		{"Id":"` + id[:63] + `7","Names":["/shop-db-1"],"NetworkSettings":{"Networks":{"front":{"NetworkID":"n1","EndpointID":"e2"}}}}]`
	const events = `{"status":"start","id":"` + id + `","Type":"container","Action":"start","Actor":{"ID":"` + id + `","Attributes":{"name":"shop-web-1"}},"scope":"local","time":1}
{"Type":"container","Action":"exec_create: sh","Actor":{"ID":"` + id + `"}}
{"Type":"network","Action":"connect","Actor":{"ID":"n1","Attributes":{"container":"` + id + `","name":"front","type":"gangway"}}}
{"Type":"network","Action":"create","Actor":{"ID":"n1","Attributes":{"name":"front"}}}
{"Type":"container","Action":"rename","Actor":{"ID":"../networks","Attributes":{}}}
`
	c := serving(t, map[string]string{"/networks": `[{"Name":"front","Id":"n1"}]`, "/containers/json": list, "/events": events})
	networks, err := c.NetworkNames(t.Context())
	if err != nil || !slices.Equal(networks, []names.Network{{ID: "n1", Name: "front"}}) {
		t.Errorf("networks: %v, %v", networks, err)
	}
	web := names.Place{EndpointID: "e1", NetworkID: "n1", Container: names.Container{ID: id, Name: "shop-web-1"}}
	places, err := c.Places(t.Context(), []string{id})
	if err != nil || !slices.Equal(places, []names.Place{web}) {
		t.Errorf("one container: %v, %v", places, err)
	}
	if places, err = c.Places(t.Context(), nil); err != nil || len(places) != 2 || places[0] != web {
		t.Errorf("all containers: %v, %v", places, err)
	}
	var told []Change
	opened := false
	err = c.Changes(t.Context(), func() { opened = true }, func(c Change) { told = append(told, c) })
	if want := []Change{{Container: id}, {Container: id}, {Networks: true}}; !errors.Is(err, io.EOF) || !opened || !slices.Equal(told, want) {
		t.Errorf("events: %v, %v, %t", told, err, opened)
	}
}

// TestNamesAskedFor: what the engine is asked, which understands no other form.
func TestNamesAskedFor(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path+" "+r.URL.Query().Get("filters"))
		if r.URL.Query().Has("since") == (r.URL.Path != "/events") {
			t.Errorf("since: %s", r.URL)
		}
		_, _ = io.WriteString(w, "[]")
	}))
	defer server.Close()
	base := server.Client().Transport
	via := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		r.URL.Host = server.Listener.Addr().String()
		return base.RoundTrip(r)
	})}
	c := &Client{http: via, stream: via, wake: &wake{}}
	if _, err := c.Places(t.Context(), []string{"a", "b"}); err != nil {
		t.Error(err)
	}
	if err := c.Changes(t.Context(), func() {}, func(Change) {}); err == nil {
		t.Error("a list is taken for events")
	}
	if want := []string{`/containers/json {"id":{"a":true,"b":true}}`, `/events {"type":{"container":true,"network":true}}`}; !slices.Equal(asked, want) {
		t.Errorf("asked %v, want %v", asked, want)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
