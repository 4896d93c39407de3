package reader

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
)

// TestNames: what goes on is what the policy names and the client has learned, and nothing else
// reaches the server.
func TestNames(t *testing.T) {
	var arrived atomic.Int32
	o := newOffice(t, defaultLimits(), func(c net.Conn) {
		arrived.Add(1)
		defer c.Close()
		_, _ = io.Copy(c, c)
	})
	for _, c := range []struct{ say, told string }{
		{head("c.example"), "policy c.example"}, {head("y.b.example"), "policy y.b.example"}, {"SSH-2.0-x\r\n", "policy (it is neither TLS nor HTTP)"},
		{head("192.0.2.1"), "policy (no server name is said)"}, {"\x16\x03\x01\x00\x01\x02\x16\x03\x01\x00\x03\x00\x00\x00", "policy (the ClientHello of TLS is malformed)"},
	} {
		conn := o.dial()
		if _, err := io.WriteString(conn, c.say); err != nil {
			t.Fatal(err)
		}
		_ = ended(conn)
		o.wantRefused(c.told)
	}
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	conn := o.dial()
	if _, err := io.WriteString(conn, head("a.example")); err != nil || ended(conn) == nil {
		t.Error("what has no way ends as if it had one", err)
	}
	o.wantRefused("isolated ")
	if n := arrived.Load(); n != 0 {
		t.Fatalf("%d connections that were refused arrived", n)
	}
	o.mu.Lock()
	o.closed = false
	o.mu.Unlock()
	conn = o.dial()
	b := make([]byte, 3)
	if _, err := io.WriteString(conn, head("x.B.example")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, b); err != nil || string(b) != "GET" || arrived.Load() != 1 {
		t.Errorf("what is allowed does not arrive: %q (%v)", b, err)
	}
}

// TestUnread: what the policy allows whatever the name goes on at once, and the server may begin.
func TestUnread(t *testing.T) {
	o := newOffice(t, defaultLimits(), func(c net.Conn) {
		defer c.Close()
		_, _ = io.WriteString(c, "220 ready")
	})
	texts := strict
	texts.Allow += ",0.0.0.0/0"
	o.say(texts)
	if b, err := io.ReadAll(o.dial()); err != nil || string(b) != "220 ready" {
		t.Errorf("%q (%v)", b, err)
	}
}

// hello is a ClientHello of TLS.
func hello(t *testing.T, name string) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer far.Close()
	go func() { _ = tls.Client(near, &tls.Config{ServerName: name}).HandshakeContext(t.Context()) }()
	b := make([]byte, 16<<10)
	n, err := far.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// TestWhole: every byte arrives once, in both directions, and each side ends by itself.
func TestWhole(t *testing.T) {
	const size = 32 << 20
	o := newOffice(t, defaultLimits(), func(c net.Conn) {
		defer c.Close()
		got, _ := io.ReadAll(c) // until the client ends its side
		_, _ = c.Write(got)
	})
	begin := hello(t, "a.example")
	sent := append(slices.Clone(begin), bytes.Repeat([]byte("0123456789abcdef"), size/16)...)
	conn := o.dial()
	go func() {
		for _, n := range [][2]int{{0, 1}, {1, 60}, {60, len(begin) - 1}, {len(begin) - 1, len(sent)}} { // in several segments
			_, _ = conn.Write(sent[n[0]:n[1]])
		}
		_ = conn.CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes of %d came back (%v)", len(got), len(sent), err)
	}
}

// TestRequests: requests of one connection go on as long as each says an allowed host.
func TestRequests(t *testing.T) {
	var mu sync.Mutex
	var hosts []string
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		hosts = append(hosts, r.Host)
		fmt.Fprintf(w, "%s %s %s", r.Host, r.RequestURI, body)
	})}
	defer server.Close()
	serving := &chanListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	go func() { _ = server.Serve(serving) }()
	o := newOffice(t, defaultLimits(), func(c net.Conn) { serving.conns <- c })
	conn := o.dial()
	answers := bufio.NewReader(conn)
	for _, c := range []struct{ say, want string }{
		{"POST /1 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nab", "a.example /1 ab"},
		{"POST /2 HTTP/1.1\r\nHost: x.b.example:80\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "x.b.example:80 /2 x"},
		{"POST /3 HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nz", "a.example /3 z"},
	} {
		if _, err := io.WriteString(conn, c.say); err != nil {
			t.Fatal(err)
		}
		a, err := http.ReadResponse(answers, nil)
		if err == nil && a.StatusCode == http.StatusContinue {
			a, err = http.ReadResponse(answers, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(a.Body); err != nil || string(body) != c.want {
			t.Fatalf("%q (%v), want %q", body, err, c.want)
		}
	}
	// Two at once, of which the second is for somebody else.
	if _, err := io.WriteString(conn, head("a.example")+head("c.example")); err != nil {
		t.Fatal(err)
	}
	_ = ended(conn)
	o.wantRefused("policy c.example")
	mu.Lock()
	defer mu.Unlock()
	if slices.Contains(hosts, "c.example") || len(hosts) < 3 {
		t.Errorf("the server was asked for %q", hosts)
	}
}

// chanListener is a listener whose connections come by a channel.
type chanListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *chanListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *chanListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *chanListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestMany: one client has its share of connections, and more are told; who says nothing gives
// its place back.
func TestMany(t *testing.T) {
	l := defaultLimits()
	l.hello, l.ofClient = 2*time.Second, 64
	o := newOffice(t, l, func(c net.Conn) { _, _ = io.Copy(c, c) })
	const all = 1000
	var conns []net.Conn
	for range all {
		// One that is refused may be reset before it is known to be there.
		if c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", o.port)); err == nil {
			defer c.Close()
			conns = append(conns, c)
		}
	}
	for _, c := range conns {
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_ = ended(c)
	}
	silent, limited := 0, 0
	o.mu.Lock()
	for _, text := range o.refused {
		switch text {
		case "limit ":
			limited++
		case "policy (no server name is said in time)":
			silent++
		default:
			t.Errorf("refused: %q", text)
		}
	}
	o.refused = nil
	o.mu.Unlock()
	if silent+limited != all || silent < l.ofClient || limited == 0 {
		t.Errorf("%d silent ones were ended, %d refused at once", silent, limited)
	}
	conn := o.dial()
	if _, err := io.WriteString(conn, head("a.example")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 3)); err != nil {
		t.Errorf("after them nobody gets through: %v", err)
	}
	o.r.places.mu.Lock()
	defer o.r.places.mu.Unlock()
	if len(o.r.flows) != 1 {
		t.Errorf("%d flows are known", len(o.r.flows))
	}
}

// TestEnds: a policy that does not allow a connection any more ends it at once, one that allows
// more leaves it alone, and one on which nothing is sent ends.
func TestEnds(t *testing.T) {
	l := defaultLimits()
	l.idle, l.look = 3*time.Second, 100*time.Millisecond
	o := newOffice(t, l, func(c net.Conn) { _, _ = io.Copy(c, c) })
	open := func() (*net.TCPConn, func() error) {
		conn := o.dial()
		begin := hello(t, "a.example")
		b := make([]byte, len(begin))
		if _, err := conn.Write(begin); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, b); err != nil {
			t.Fatal(err)
		}
		return conn, func() error {
			_, err := conn.Write([]byte{1})
			if err == nil {
				_, err = io.ReadFull(conn, b[:1])
			}
			return err
		}
	}
	_, echo := open()
	more := strict
	more.Allow += ",c.example"
	byAddress := strict
	byAddress.Names = ""
	for _, texts := range []config.Policy{more, byAddress, {}, strict} {
		if o.say(texts); echo() != nil {
			t.Fatalf("%+v ends a connection", texts)
		}
	}
	less := strict
	less.Allow = "*.b.example"
	if o.say(less); echo() == nil {
		t.Error("a connection goes on that is allowed no more")
	}
	o.say(strict)
	conn, _ := open()
	if err := ended(conn); err == nil {
		t.Error("a connection on which nothing is sent ends like one that has")
	}
	if o.mu.Lock(); len(o.refused) > 0 {
		t.Errorf("refused: %q", o.refused)
	}
	o.mu.Unlock()
}

// TestClose: nothing listens and nothing goes on.
func TestClose(t *testing.T) {
	o := newOffice(t, defaultLimits(), func(c net.Conn) { _, _ = io.Copy(c, c) })
	conn := o.dial()
	if _, err := io.WriteString(conn, head("a.example")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if _, err := o.r.Serve(false); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", o.port)); err == nil {
		_ = c.Close()
		t.Error("it listens, and nobody wants it")
	}
	if _, err := io.WriteString(conn, head("a.example")); err != nil {
		t.Error("without anybody who wants it a connection ended:", err)
	}
	o.r.Close()
	if _, err := io.Copy(io.Discard, conn); err == nil {
		t.Error("a connection outlives its end")
	}
}
