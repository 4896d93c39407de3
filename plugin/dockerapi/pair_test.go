package dockerapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// step is something that one end says and that the other hears at once, byte for byte;
// what has no text closes the half of the connection.
type step struct {
	engine bool
	text   string
}

func client(text string) step { return step{text: http1(text)} }
func engine(text string) step { return step{engine: true, text: http1(text)} }

// conversation is what passes between a client and the engine.
type conversation struct {
	name  string
	steps []step
}

// TestByteForByte: in each of these the other end hears what was said, as soon as it was
// said, and nothing else; also the end.
func TestByteForByte(t *testing.T) {
	for _, c := range append(messages(), streams()...) {
		t.Run(c.name, func(t *testing.T) {
			c1, e1 := join2(t)
			for _, s := range c.steps {
				from, to := c1, e1
				if s.engine {
					from, to = e1, c1
				}
				if s.text != "" {
					through(from, to, s.text)
					continue
				}
				from.closeWrite()
				to.hearEnd()
			}
		})
	}
}

// messages are requests and answers on a connection that stays.
func messages() []conversation {
	again := []step{client("GET /v1.41/info HTTP/1.1\nHost: api\n\n"), engine("HTTP/1.1 200 OK\nContent-Length: 2\n\n{}")}
	list := []conversation{
		{"odd heads", []step{
			client("GET //v1.41/images/json?all=1&&x=%7B HTTP/1.1\nhOsT:docker\nX-b: 2\nX-A:  1\nx-b: 3\nConnection: keep-alive\nAccept-Encoding: gzip\n\n"),
			engine("HTTP/1.1 299 Quite  Fine\nx-lower: 1\nA: 1\na: 2\nServer: Docker/20.10.24 (linux)\nKeep-Alive: 5\nContent-Length: 3\n\nabc"),
		}},
		{"bare line feeds", []step{{text: "GET /_ping HTTP/1.1\nHost: a\n\n"}, {true, "HTTP/1.1 200 OK\nContent-Length: 2\n\nOK"}}},
		{"HEAD", []step{client("HEAD /_ping HTTP/1.1\nHost: a\n\n"), engine("HTTP/1.1 200 OK\nContent-Length: 2000\n\n")}},
		{"no content", []step{client("POST /containers/a/start HTTP/1.1\nHost: a\nContent-Length: 0\n\n"), engine("HTTP/1.1 204 No Content\n\n")}},
		{"not modified", []step{client("POST /containers/a/stop HTTP/1.1\nHost: a\n\n"), engine("HTTP/1.1 304 Not Modified\n\n")}},
		{"an error", []step{client("POST /containers/create HTTP/1.1\nHost: a\nContent-Length: 9\n\n{\"a\":"), client("1}\n"), engine("HTTP/1.1 409 Conflict\nContent-Length: 15\n\n{\"message\":\"a\"}")}},
		{"a stream of events", []step{
			client("GET /events HTTP/1.1\nHost: a\n\n"), engine("HTTP/1.1 200 OK\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n"),
			engine("b\n{\"a\":\"b\"}\n\n"), engine("0010;ext=\"1\"\n0123456789\n"), engine("abcd\n"), engine("1\n"), engine("x"), engine("\n0\n\n"),
		}},
		{"trailers", []step{
			client("GET /events HTTP/1.1\nHost: a\nTE: trailers\n\n"), engine("HTTP/1.1 200 OK\nTrailer: X-Sum, x-B\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX-Sum: 1\n"), engine("x-B: 2\n\n"),
		}},
		{"a chunked body with a trailer", []step{
			client("POST /build HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n"), client("5\nfirst\n"), client("A\nsecond 678\n"), client("0\nX-Sum: 1\n"), client("\n"),
			engine("HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
		}},
		{"an answer before the body's end", []step{
			client("POST /build HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n5\nfirst\n"), engine("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"), engine("3\n1st\n"),
			client("6\nsecond\n"), engine("3\n2nd\n"), client("0\n\n"), engine("0\n\n"),
		}},
		{"expect and continue", []step{
			client("PUT /containers/a/archive?path=/ HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 4\n\n"), engine("HTTP/1.1 100 Continue\n\n"), client("body"),
			engine("HTTP/1.1 102 Processing\nA: b\n\n"), engine("HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
		}},
	}
	for i := range list {
		list[i].steps = append(append(list[i].steps, again...), again...)
		list[i].steps = append(list[i].steps, client(""), engine(""))
	}
	return list
}

// streams are conversations that end as something else than HTTP, or not at all.
func streams() []conversation {
	attach := "POST /v1.41/containers/a/attach?stdin=1&stdout=1&stream=1 HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: tcp\nContent-Type: text/plain\nContent-Length: 0\n\n"
	upgraded := "HTTP/1.1 101 UPGRADED\nContent-Type: application/vnd.docker.raw-stream\nConnection: Upgrade\nUpgrade: tcp\n\n"
	old := "POST /v1.18/exec/1/start HTTP/1.1\nHost: a\nContent-Type: application/json\nContent-Length: 12\n\n{\"Tty\":true}"
	return []conversation{
		{"attach, the client ends first", []step{
			client(attach), engine(upgraded), client("ls\n"), engine("\x01\x00\x00\x00\x00\x00\x00\x03a\nb"), client("GET / HTTP/1.1\n\n"), client("exit"), client(""), engine("more"), engine("and more"), engine(""),
		}},
		{"attach, the engine ends first", []step{client(attach), engine(upgraded), engine("bye"), engine(""), client("still"), client("talking"), client("")}},
		{"attach after other calls", []step{
			client("HEAD /_ping HTTP/1.1\nHost: a\n\n"), engine("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), client(attach), engine(upgraded), client("a"), engine("b"), engine(""), client(""),
		}},
		{"exec of old clients", []step{client(old), engine("HTTP/1.1 200 OK\nContent-Type: application/vnd.docker.raw-stream\n\n"), engine("$ "), client("ls\n"), engine("0\n\n"), client(""), engine("rest"), engine("")}},
		{"an upgrade that is refused", []step{client(attach), engine("HTTP/1.1 404 Not Found\nContent-Length: 2\n\n{}"), client(attach), engine(upgraded), client("x"), client(""), engine("")}},
		{"h2c", []step{
			client("POST /session HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: h2c\nX-Docker-Expose-Session-Uuid: 1\n\n"), engine("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: h2c\n\n"),
			engine("PRI * HTTP/2.0\n\nSM\n\n\x00\x00\x00\x04"), client("\x00\x00\x00\x04"), client(""), engine(""),
		}},
		{"HTTP/2 from the beginning", []step{client("PRI * HTTP/2.0\n\n"), client("SM\n\n\x00\x00\x00"), engine("\x00\x00"), client("\x01"), engine(""), client("")}},
		{"HTTP/1.0", []step{client("GET /info HTTP/1.0\n\n"), engine("HTTP/1.0 200 OK\nContent-Type: application/json\n\n{"), engine("}"), engine(""), client("")}},
		{"no HTTP", []step{client("hello\n\n"), client("again"), engine("HTTP/1.1 400 Bad Request\nConnection: close\n\n"), engine("400"), engine(""), client("")}},
		{"no HTTP in the answer", []step{client("GET / HTTP/1.1\nHost: a\n\n"), engine("SSH-2.0\n\n"), engine("hi"), client("hi"), client(""), engine("")}},
		{"a chunk without a size", []step{client("GET / HTTP/1.1\nHost: a\n\n"), engine("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nzz\n"), engine("abc"), engine(""), client("")}},
		{"unasked", []step{engine("HTTP/1.1 408 Request Timeout\nConnection: close\n\n"), engine(""), client("")}},
		{"the client goes while it waits", []step{client("GET /events HTTP/1.1\nHost: a\n\n"), client(""), engine("")}},
		{"the engine goes while it answers", []step{client("GET / HTTP/1.1\nHost: a\n\n"), engine("HTTP/1.1 200 OK\nContent-Length: 9\n\n123"), engine(""), client("")}},
		{"the client goes while it sends", []step{client("POST /build HTTP/1.1\nHost: a\nContent-Length: 9\n\n123"), client(""), engine("HTTP/1.1 400 Bad\nContent-Length: 0\n\n"), engine("")}},
	}
}

// TestEarly: what a client sends without waiting for answers comes in order, and is read
// as what it is: a next request, or a stream.
func TestEarly(t *testing.T) {
	get := func(path string) string { return http1("GET " + path + " HTTP/1.1\nHost: a\n\n") }
	t.Run("requests", func(t *testing.T) {
		c, e := join2(t)
		c.say(get("/a") + get("/b") + get("/c"))
		for _, path := range []string{"/a", "/b", "/c"} {
			e.hear(get(path))
			through(e, c, http1("HTTP/1.1 200 OK\nContent-Length: 2\n\n")+path)
		}
	})
	t.Run("stream", func(t *testing.T) {
		c, e := join2(t)
		attach := http1("POST /containers/a/attach HTTP/1.1\nHost: a\n\n")
		c.say(attach + "GET no HTTP")
		e.hear(attach)
		through(e, c, http1("HTTP/1.1 200 OK\nContent-Type: application/vnd.docker.raw-stream\n\n"))
		e.hear("GET no HTTP")
		c.closeWrite()
		e.hearEnd()
	})
}

// TestHeads: a head is passed on when it is whole, or too long to be one.
func TestHeads(t *testing.T) {
	c, e := join2(t)
	for _, part := range []string{"GET /_ping HT", "TP/1.1\r\nHost: a\r\n", "\r\n"} {
		c.say(part)
	}
	e.hear("GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, part := range []string{"HTTP/1.1 200 ", "OK\r\nContent-Length: 2\r\n", "\r\nO"} {
		e.say(part)
	}
	c.hear("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nO")
	through(e, c, "K")
	long := "GET / HTTP/1.1\r\nA: " + strings.Repeat("b", 2*maxHead)
	said := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, long)
		said <- err
	}()
	e.hear(long)
	if err := <-said; err != nil {
		t.Fatal(err)
	}
	through(c, e, "c\r\n\r\n")
	through(e, c, "HTTP/1.1 431 Too Large\r\n\r\n")
}

// TestRefusedBody: an engine that answers and reads no more is heard by a client that
// is still sending, which then learns that nobody reads.
func TestRefusedBody(t *testing.T) {
	c, e := join2(t)
	through(c, e, http1("POST /images/load HTTP/1.1\nHost: a\nContent-Length: 1000000000\n\n123"))
	through(e, c, http1("HTTP/1.1 400 Bad Request\nConnection: close\nContent-Length: 2\n\nno"))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	c.hearEnd()
	for {
		if _, err := c.Write(make([]byte, 4096)); err != nil {
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client gets %v", err)
			}
			return
		}
	}
}

// TestHalfGone: who reads no more has the other one's writes fail, and is heard on.
func TestHalfGone(t *testing.T) {
	refused := func(from end) {
		t.Helper()
		for {
			if _, err := from.Write(make([]byte, 4096)); errors.Is(err, syscall.EPIPE) {
				return
			} else if err != nil {
				t.Fatalf("%s gets %v", from.name, err)
			}
		}
	}
	c, e := join2(t)
	through(c, e, http1("POST /containers/a/attach HTTP/1.1\nHost: a\nUpgrade: tcp\n\n"))
	through(e, c, http1("HTTP/1.1 101 UPGRADED\n\n"))
	if err := e.CloseRead(); err != nil {
		t.Fatal(err)
	}
	refused(c)
	through(e, c, "going on")

	c, e = join2(t)
	through(c, e, http1("POST /build HTTP/1.1\nHost: a\nContent-Length: 8\n\n"))
	through(e, c, http1("HTTP/1.1 200 OK\nContent-Length: 1000000000\n\n"))
	if err := c.CloseRead(); err != nil {
		t.Fatal(err)
	}
	refused(e)
	through(c, e, "going on")
}

// TestGone: an engine that streams to a client that is gone gets an error.
func TestGone(t *testing.T) {
	c, e := join2(t)
	through(c, e, http1("GET /containers/a/logs?follow=1 HTTP/1.1\nHost: a\n\n"))
	through(e, c, http1("HTTP/1.1 200 OK\nContent-Type: text/plain\nTransfer-Encoding: chunked\n\n1\na\n"))
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	e.hearEnd()
	for {
		if _, err := e.Write([]byte(http1("1\na\n"))); err != nil {
			if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the engine gets %v", err)
			}
			return
		}
	}
}

// TestLarge: large bodies pass both ways whole.
func TestLarge(t *testing.T) {
	body := pattern(16 << 20)
	send := func(from, to end, head string, wire []byte) {
		t.Helper()
		sent := make(chan error, 1)
		go func() {
			_, err := from.Write(append([]byte(http1(head)), wire...))
			sent <- err
		}()
		to.hear(http1(head))
		got := make([]byte, len(wire))
		if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, wire) {
			t.Fatalf("%s gets another body (%v)", to.name, err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	var chunks bytes.Buffer
	for part := body; len(part) > 0; {
		n := min(len(part), 1+len(part)%100_000)
		fmt.Fprintf(&chunks, "%x\r\n%s\r\n", n, part[:n])
		part = part[n:]
	}
	chunks.WriteString("0\r\n\r\n")
	c, e := join2(t)
	length := fmt.Sprintf("Content-Length: %d\n\n", len(body))
	send(c, e, "POST /images/load HTTP/1.1\nHost: a\n"+length, body)
	send(e, c, "HTTP/1.1 200 OK\n"+length, body)
	send(c, e, "POST /build HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n", chunks.Bytes())
	send(e, c, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n", chunks.Bytes())
	send(c, e, "POST /containers/a/attach HTTP/1.1\nHost: a\nUpgrade: tcp\n\n", nil)
	send(e, c, "HTTP/1.1 101 UPGRADED\n\n", body)
	send(c, e, "", body)
}

// TestBackpressure: of what an engine does not read, no more than buffers hold is taken
// from the client.
func TestBackpressure(t *testing.T) {
	c, e := join2(t)
	through(c, e, http1("POST /images/load HTTP/1.1\nHost: a\nContent-Length: 1000000000\n\n"))
	taken := 0
	for {
		if err := c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Write(make([]byte, 64<<10))
		if taken += n; taken > 16<<20 {
			t.Fatalf("%d bytes were taken that nobody reads", taken)
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzBytes: whatever the two say, each hears the other's bytes, all of them and no
// others.
func FuzzBytes(f *testing.F) {
	for _, c := range append(messages(), streams()...) {
		var texts [2]strings.Builder
		for _, s := range c.steps {
			at := 0
			if s.engine {
				at = 1
			}
			texts[at].WriteString(s.text)
		}
		f.Add([]byte(texts[0].String()), []byte(texts[1].String()))
	}
	f.Add([]byte(http1("GET /containers/json HTTP/1.1\nHost: a\n\n")), []byte(http1("HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2\n\n[]")))
	f.Fuzz(func(t *testing.T, fromClient, fromEngine []byte) {
		c, e := join2(t)
		type heard struct {
			from string
			all  []byte
			err  error
		}
		done := make(chan heard)
		for _, at := range []struct {
			end
			says []byte
		}{{c, fromClient}, {e, fromEngine}} {
			go func() {
				_, err := at.Write(at.says)
				done <- heard{"", nil, errors.Join(err, at.CloseWrite())}
			}()
			go func() {
				all, err := io.ReadAll(at)
				done <- heard{at.name, all, err}
			}()
		}
		want := map[string][]byte{"client": fromEngine, "engine": fromClient}
		for range 4 {
			h := <-done
			if h.err != nil || h.from != "" && !bytes.Equal(h.all, want[h.from]) {
				t.Errorf("%s hears %q, %v; want %q", h.from, h.all, h.err, want[h.from])
			}
		}
	})
}

// TestNoEngine: without an engine the client is told so in the engine's own form.
func TestNoEngine(t *testing.T) {
	h := serve(t, noPorts, testkit.Quiet())
	h.engine.Close()
	c, err := net.Dial("unix", h.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err = io.WriteString(c, http1("POST /v1.41/build HTTP/1.1\nHost: a\nContent-Length: 5\n\nhello")); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(got), "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 502 Bad Gateway\r\n") || !strings.Contains(head, fmt.Sprintf("\r\nContent-Length: %d", len(body))) ||
		!strings.HasPrefix(body, `{"message":"the engine does not answer: dial unix `) {
		t.Errorf("got %q", got)
	}
}
