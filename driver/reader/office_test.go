package reader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/testkit"
)

// office is a reader on loopback, where clients connect directly: what the kernel would say of
// them is made up.
type office struct {
	t    *testing.T
	r    *Reader
	port uint16

	mu sync.Mutex
	// to is where clients have connected to, texts what counts for them, and known what they
	// have learned.
	to      netip.AddrPort
	texts   config.Policy
	known   map[string]bool
	refused []string
	closed  bool
}

func (o *office) Came(int, bool) (int, error) { return 1, nil }

func (o *office) Asked(uint8, netip.AddrPort, netip.AddrPort) (netip.AddrPort, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to, nil
}

func (o *office) Way(context.Context, Passage) (netip.Addr, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return netip.Addr{}, errors.New("no way")
	}
	return netip.Addr{}, nil
}

func (o *office) whose(int, netip.Addr) (Client, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, err := policy.Of(o.texts)
	return Client{"gw-1", o.texts, p}, err == nil
}

func (o *office) knows(_ policy.Who, to netip.Addr, name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return to == o.to.Addr() && o.known[name]
}

func (o *office) refuse(r Refusal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused = append(o.refused, fmt.Sprint(r.Reason, " ", r.Name))
}

func (o *office) say(texts config.Policy) {
	o.mu.Lock()
	o.texts = texts
	o.mu.Unlock()
	if _, err := o.r.Serve(true); err != nil {
		o.t.Error(err)
	}
}

// wantRefused takes what was refused until now.
func (o *office) wantRefused(want ...string) {
	o.t.Helper()
	testkit.Eventually(o.t, fmt.Sprintf("refusals %q", want), func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return slices.Equal(o.refused, want)
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refused = nil
}

var strict = config.Policy{Egress: "deny", Allow: "a.example,*.b.example", Names: "strict"}

func newOffice(t *testing.T, l limits, serve func(net.Conn)) *office {
	t.Helper()
	o := &office{t: t, texts: strict, known: map[string]bool{"a.example": true, "x.b.example": true}}
	server := listener(t)
	o.to = server.Addr().(*net.TCPAddr).AddrPort()
	go func() {
		for {
			c, err := server.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	o.r = newReader(Options{Host: o, Whose: o.whose, Knows: o.knows, Refuse: o.refuse, Log: testkit.Quiet()}, l)
	t.Cleanup(o.r.Close)
	var err error
	if o.port, err = o.r.Serve(true); err != nil {
		t.Fatal(err)
	}
	return o
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (o *office) dial() *net.TCPConn {
	o.t.Helper()
	c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", o.port))
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// head is a request to a host.
func head(host string) string { return "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }

// ended says that nothing comes any more, and by which end.
func ended(c net.Conn) error {
	_, err := io.Copy(io.Discard, c)
	return err
}
