package integration

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// verbs are what an engine asks for in the life of a network and of a container
// with a published port.
var verbs = []string{
	"IpamDriver.RequestPool", "IpamDriver.RequestAddress", "NetworkDriver.CreateNetwork",
	"NetworkDriver.CreateEndpoint", "NetworkDriver.Join", "NetworkDriver.ProgramExternalConnectivity",
	"NetworkDriver.RevokeExternalConnectivity", "NetworkDriver.Leave", "NetworkDriver.DeleteEndpoint",
	"IpamDriver.ReleaseAddress", "NetworkDriver.DeleteNetwork", "IpamDriver.ReleasePool",
}

// testKilledInEachVerb: gangway is killed as soon as it was sent a certain verb,
// and, with GANGWAY_TEST_LONG, when it has carried it out and before the engine
// has the answer. Whatever the engine says, the same commands succeed
// afterwards, once gangway has asked whose a network is whose removal was lost, the traffic of others goes on, and nothing is left.
func testKilledInEachVerb(t *testing.T, e *harness.Engine) {
	m := newMiddleman(t, e)
	stop := traffic(t, e, "10.98.0")
	moments := []bool{false}
	if long() {
		moments = append(moments, true)
	}
	for _, verb := range verbs {
		for _, answered := range moments {
			lifeWithKill(t, e, m, verb, answered)
		}
	}
	newContainer(t, e, "c3")
	stop(t)
}

// lifeWithKill creates and removes a network with a container, kills gangway in
// the verb, and does the same again without.
func lifeWithKill(t *testing.T, e *harness.Engine, m *middleman, verb string, answered bool) {
	t.Helper()
	armed := m.arm(verb, answered)
	defer armed.killed()
	life := make(chan struct{})
	go func() {
		defer close(life)
		for _, command := range lifeOf(e) {
			if _, err := e.TryDocker(command...); err != nil {
				t.Logf("killed in %s: %v", verb, err)
			}
		}
	}()
	select {
	case <-armed.hit:
	case <-life:
		t.Errorf("the engine did not call %s", verb)
		return
	}
	e.KillGangway(t)
	armed.killed()
	e.StartGangway(t, middleSocket)
	<-life
	for i, command := range lifeOf(e) {
		_, err := e.TryDocker(command...)
		if i == 0 && err != nil && strings.Contains(err.Error(), "overlaps") {
			// The removal was lost: gangway has to ask the engine first.
			harness.Eventually(t, "the subnet is free", func() error {
				_, err = e.TryDocker(command...)
				return err
			})
		}
		already := err != nil && strings.Contains(err.Error(), "already exists") // or in use, by the first life
		if err != nil && !already {
			t.Errorf("after a kill in %s: %v", verb, err)
		}
	}
}

func lifeOf(e *harness.Engine) [][]string {
	return [][]string{
		args([]string{"network", "create", "-d", e.Driver}, gangwayIPAM(e), []string{"--subnet", "10.98.1.0/24", "life"}),
		{"run", "-d", "--name", "life", "--network", "life", "--ip", "10.98.1.9", "-p", "8200:80", harness.Image, "sleep", "1000"},
		{"rm", "-f", "life"},
		{"network", "rm", "life"},
	}
}

// middleSocket is where gangway listens while a middleman has its place.
const middleSocket = "GANGWAY_SOCKET=/run/gangway-behind/gangway.sock"

// middleman sits between engine and gangway and knows which verb goes by.
type middleman struct {
	engine *harness.Engine
	client *http.Client

	mu   sync.Mutex
	next *ambush
}

// ambush is one kill that is to come.
type ambush struct {
	verb string
	// answered says that gangway is killed when it has answered, else as soon as
	// it has the request.
	answered bool
	// hit is closed when it is time to kill. killed says that this was done, and
	// ends ctx: from then on the request must not get to the next gangway.
	hit    chan struct{}
	ctx    context.Context
	killed context.CancelFunc
}

// newMiddleman takes gangway's place until the test ends.
func newMiddleman(t *testing.T, e *harness.Engine) *middleman {
	t.Helper()
	m := &middleman{engine: e}
	_, path, _ := strings.Cut(middleSocket, "=")
	m.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			for {
				c, err := new(net.Dialer).DialContext(ctx, "unix", e.Path(path))
				if err == nil || ctx.Err() != nil {
					return c, err
				}
				time.Sleep(20 * time.Millisecond) // until gangway is back
			}
		},
	}}
	e.StopGangway(t)
	l, err := e.Listen(harness.PluginSocket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-served
		e.StopGangway(t)
		e.Run(t, "rm", "-rf", "/run/gangway-behind", harness.PluginSocket)
		e.StartGangway(t)
	})
	e.StartGangway(t, middleSocket)
	return m
}

// arm prepares the next kill.
func (m *middleman) arm(verb string, answered bool) *ambush {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = &ambush{verb: verb, answered: answered, hit: make(chan struct{})}
	m.next.ctx, m.next.killed = context.WithCancel(context.Background())
	return m.next
}

// due returns the kill that is to happen in the verb.
func (m *middleman) due(verb string) *ambush {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next == nil || m.next.verb != verb {
		return nil
	}
	a := m.next
	m.next = nil
	return a
}

// ServeHTTP passes a request on. One whose gangway was killed ends as it does
// without a middleman: the connection breaks.
func (m *middleman) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	a := m.due(strings.TrimPrefix(r.URL.Path, "/"))
	switch {
	case a == nil:
		answer := m.must(context.Background(), r, body)
		defer answer.Body.Close()
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
		return
	case a.answered:
		defer m.must(a.ctx, r, body).Body.Close()
		close(a.hit)
	default:
		once := sync.OnceFunc(func() { close(a.hit) })
		sent := httptrace.WithClientTrace(a.ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { once() }})
		if answer, err := m.pass(sent, r, body); err == nil {
			_ = answer.Body.Close()
		}
	}
	<-a.ctx.Done()
	panic(http.ErrAbortHandler)
}

// must passes a request on, and breaks the engine's connection if there is no
// answer.
func (m *middleman) must(ctx context.Context, r *http.Request, body []byte) *http.Response {
	answer, err := m.pass(ctx, r, body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return answer
}

func (m *middleman) pass(ctx context.Context, r *http.Request, body []byte) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, r.Method, "http://gangway"+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return m.client.Do(q)
}
