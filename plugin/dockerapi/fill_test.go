package dockerapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/integration/testkit"
)

func run(endpoint, protocol, host string, first, last uint16, inside uint16) driver.PortStatus {
	return driver.PortStatus{EndpointID: endpoint, Protocol: protocol, HostIP: netip.MustParseAddr(host), First: first, Last: last, ContainerFirst: inside}
}

// published is what the daemon says in these tests: a port on all addresses, a range, and
// ports of others.
func published(context.Context) ([]driver.PortStatus, error) {
	return []driver.PortStatus{
		run("ep1", "tcp", "::", 8000, 8000, 80),
		run("ep1", "tcp", "0.0.0.0", 8000, 8000, 80),
		run("ep1", "udp", "192.0.2.1", 9000, 9002, 53),
		run("ep2", "tcp", "127.0.0.1", 65535, 65535, 65535),
		run("other", "tcp", "0.0.0.0", 1, 1, 1),
	}, nil
}

const (
	v4Of1   = `{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8000,"Type":"tcp"}`
	listOf1 = v4Of1 + `,{"IP":"::","PrivatePort":80,"PublicPort":8000,"Type":"tcp"}`
	udpOf1  = `{"IP":"192.0.2.1","PrivatePort":53,"PublicPort":9000,"Type":"udp"},{"IP":"192.0.2.1","PrivatePort":54,"PublicPort":9001,"Type":"udp"},{"IP":"192.0.2.1","PrivatePort":55,"PublicPort":9002,"Type":"udp"}`
	mapOf1  = `"53/udp":[{"HostIp":"192.0.2.1","HostPort":"9000"}],"54/udp":[{"HostIp":"192.0.2.1","HostPort":"9001"}],"55/udp":[{"HostIp":"192.0.2.1","HostPort":"9002"}]`
	tcpOf1  = `[{"HostIp":"0.0.0.0","HostPort":"8000"},{"HostIp":"::","HostPort":"8000"}]`
	// settings1 is of a container on ep1, and on a network of nobody we know.
	settings1 = `"Networks":{"front":{"EndpointID":"ep1","MacAddress":"02:42"},"none":{"EndpointID":""},"bridge":{"EndpointID":"foreign"}}`
)

// filling is an answer and what becomes of it; the same if want is empty.
type filling struct {
	name, path, answer, want string
}

func fillings() []filling {
	const list, inspect = "/v1.41/containers/json?all=1", "/v1.41/containers/web/json"
	return []filling{
		{"list", list,
			`[{"Id":"c2","Created":12345678901234567890.10,"Ports":[],"NetworkSettings":{"Networks":{"a":{"EndpointID":"ep2"}}},"New":{"<&>":[1e400,null]}},` +
				`{"NetworkSettings":{` + settings1 + `},"Ports":[{"IP":"0.0.0.0","PrivatePort":22,"PublicPort":2222,"Type":"tcp","New":1.0},{"PrivatePort":80,"Type":"tcp"},{"PrivatePort":81,"Type":"tcp"},{"IP":"::","PrivatePort":80,"PublicPort":8000,"Type":"tcp"}],"Id":"c1"},` +
				`{"Id":"c3","Ports":[{"PrivatePort":80,"Type":"tcp"}],"NetworkSettings":{"Networks":{"a":{"EndpointID":"ep3"}}}}]` + "\n",
			`[{"Id":"c2","Created":12345678901234567890.10,"Ports":[{"IP":"127.0.0.1","PrivatePort":65535,"PublicPort":65535,"Type":"tcp"}],"NetworkSettings":{"Networks":{"a":{"EndpointID":"ep2"}}},"New":{"<&>":[1e400,null]}},` +
				`{"NetworkSettings":{` + settings1 + `},"Ports":[{"IP":"0.0.0.0","PrivatePort":22,"PublicPort":2222,"Type":"tcp","New":1.0},{"PrivatePort":81,"Type":"tcp"},{"IP":"::","PrivatePort":80,"PublicPort":8000,"Type":"tcp"},` + udpOf1 + `,` + v4Of1 + `],"Id":"c1"},` +
				`{"Id":"c3","Ports":[{"PrivatePort":80,"Type":"tcp"}],"NetworkSettings":{"Networks":{"a":{"EndpointID":"ep3"}}}}]` + "\n"},
		{"list with spaces", "/containers/json", "[ {\n\t\"Ports\" : null ,\n \"NetworkSettings\" :{ " + settings1 + " }} ]", "[ {\n\t\"Ports\" : [" + udpOf1 + "," + listOf1 + "] ,\n \"NetworkSettings\" :{ " + settings1 + " }} ]"},
		{"one container", inspect,
			`{"Id":"c1","Ports":[],"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8000"}]},"Memory":9007199254740993},"NetworkSettings":{"Bridge":"","Ports":{},` + settings1 + `},"Z":1,"A":2}`,
			`{"Id":"c1","Ports":[],"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8000"}]},"Memory":9007199254740993},"NetworkSettings":{"Bridge":"","Ports":{` + mapOf1 + `,"80/tcp":` + tcpOf1 + `},` + settings1 + `},"Z":1,"A":2}`},
		{"one with ports of another network", "/containers/a/b/json",
			`{"NetworkSettings":{` + settings1 + `,"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8000"},{"HostIp":"10.0.0.1","HostPort":"1","New":0.10}],"81/tcp":null,"53/udp":null}}}`,
			`{"NetworkSettings":{` + settings1 + `,"Ports":{` + mapOf1 + `,"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8000"},{"HostIp":"10.0.0.1","HostPort":"1","New":0.10},{"HostIp":"::","HostPort":"8000"}],"81/tcp":null}}}`},
		{"one without a map", inspect, `{"NetworkSettings":{"Ports":null,` + settings1 + `}}`, `{"NetworkSettings":{"Ports":{` + mapOf1 + `,"80/tcp":` + tcpOf1 + `},` + settings1 + `}}`},

		{"exposed and published", inspect, `{"Config":{"ExposedPorts":{"80/tcp":{},"9/udp":{}}},"NetworkSettings":{"Ports":{},"Networks":{"a":{"EndpointID":"ep2"}}}}`,
			`{"Config":{"ExposedPorts":{"80/tcp":{},"9/udp":{}}},"NetworkSettings":{"Ports":{"65535/tcp":[{"HostIp":"127.0.0.1","HostPort":"65535"}],"80/tcp":null,"9/udp":null},"Networks":{"a":{"EndpointID":"ep2"}}}}`},
		{"exposed only", inspect, `{"NetworkSettings":{"Ports":{},"Networks":{"a":{"EndpointID":"ep4"}}},"Config":{"ExposedPorts":{"80/tcp":{}}}}`,
			`{"NetworkSettings":{"Ports":{"80/tcp":null},"Networks":{"a":{"EndpointID":"ep4"}}},"Config":{"ExposedPorts":{"80/tcp":{}}}}`},

		{name: "exposed on networks of others", path: inspect, answer: `{"Config":{"ExposedPorts":{"80/tcp":{}}},"NetworkSettings":{"Ports":{},"Networks":{"a":{"EndpointID":"ep3"}}}}`},
		{name: "exposed and stopped", path: inspect, answer: `{"Config":{"ExposedPorts":{"80/tcp":{}}},"NetworkSettings":{"Ports":{},"Networks":{"a":{"EndpointID":""}}}}`},
		{name: "none of ours", path: list, answer: `[{"Ports":[],"NetworkSettings":{"Networks":{"a":{"EndpointID":"ep3"}}}}]`},
		{name: "stopped", path: inspect, answer: `{"NetworkSettings":{"Ports":{},"Networks":{"a":{"EndpointID":""}}}}`},
		{name: "no containers", path: list, answer: "[]\n"},
		{name: "no list", path: list, answer: `null`},
		{name: "host network", path: list, answer: `[{"Ports":[],"NetworkSettings":null}]`},
		{name: "without Ports", path: inspect, answer: `{"NetworkSettings":{` + settings1 + `}}`},
		{name: "Ports of another form", path: inspect, answer: `{"NetworkSettings":{"Ports":[1],` + settings1 + `}}`},
		{name: "binding of another form", path: list, answer: `[{"Ports":[7],"NetworkSettings":{` + settings1 + `}}]`},
		{name: "a list for a container", path: inspect, answer: `[{"NetworkSettings":{"Ports":{},` + settings1 + `}}]`},
		{name: "cut off", path: list, answer: `[{"Ports":[],"NetworkSettings":{` + settings1 + `}`},
		{name: "no JSON", path: list, answer: `<html>`},
		{name: "nothing", path: list, answer: ``},
		{name: "another call", path: "/v1.41/containers/web/jsonx", answer: `{"NetworkSettings":{"Ports":{},` + settings1 + `}}`},
		{name: "another object", path: "/v1.41/images/web/json", answer: `{"NetworkSettings":{"Ports":{},` + settings1 + `}}`},
	}
}

// ask asks for a path and has the engine answer; what the client must hear follows.
func ask(c, e end, path, head, wire string) {
	c.t.Helper()
	through(c, e, http1("GET "+path+" HTTP/1.1\nHost: docker\nUser-Agent: test\n\n"))
	e.say(http1(head) + wire)
}

func ofLength(n int) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\nApi-Version: 1.41\nContent-Type: application/json\nx-Odd: 1\nContent-Length: %d\n\n", n)
}

// chunked is a text as a chunked body with chunks of some odd size.
func chunked(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		n := min(len(text), 37)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, text[:n])
		text = text[n:]
	}
	return b.String() + "0\r\n\r\n"
}

// TestFill: nothing but the value of Ports is another one, however the answer came; and
// the connection goes on.
func TestFill(t *testing.T) {
	const asChunks = "HTTP/1.1 200 OK\nApi-Version: 1.41\nContent-Type: application/json; charset=utf-8\nTransfer-Encoding: chunked\nDate: x\n\n"
	const filledChunks = "HTTP/1.1 200 OK\nApi-Version: 1.41\nContent-Type: application/json; charset=utf-8\nDate: x\nContent-Length: %d\n\n"
	client, engine := serve(t, published, testkit.Quiet()).dial(t)
	for _, f := range fillings() {
		t.Run(f.name, func(t *testing.T) {
			c, e := end{client.UnixConn, t, "client"}, end{engine.UnixConn, t, "engine"}
			ask(c, e, f.path, ofLength(len(f.answer)), f.answer)
			if f.want == "" {
				c.hear(http1(ofLength(len(f.answer))) + f.answer)
			} else {
				c.hear(http1(ofLength(len(f.want))) + f.want)
			}
			ask(c, e, f.path, asChunks, chunked(f.answer))
			if f.want == "" {
				c.hear(http1(asChunks) + chunked(f.answer))
			} else {
				c.hear(http1(fmt.Sprintf(filledChunks, len(f.want))) + f.want)
			}
		})
	}
	client.closeWrite()
	engine.hearEnd()
	engine.closeWrite()
	client.hearEnd()
}

const (
	plainAnswer  = `{"NetworkSettings":{"Ports":{},"Networks":{"a":{"EndpointID":"ep2"}}}}`
	filledAnswer = `{"NetworkSettings":{"Ports":{"65535/tcp":[{"HostIp":"127.0.0.1","HostPort":"65535"}]},"Networks":{"a":{"EndpointID":"ep2"}}}}`
)

// TestFillOnly: only a good answer to a GET is filled; all others pass as they are.
func TestFillOnly(t *testing.T) {
	c, e := serve(t, published, testkit.Quiet()).dial(t)
	length := fmt.Sprintf("Content-Length: %d\n", len(plainAnswer))
	for _, head := range []string{
		"HTTP/1.1 404 Not Found\nContent-Type: application/json\n", "HTTP/1.1 201 Created\nContent-Type: application/json\n", "HTTP/1.1 200 OK\n",
		"HTTP/1.1 200 OK\nContent-Type: text/plain\n", "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Encoding: gzip\n",
	} {
		ask(c, e, "/containers/a/json", head+length+"\n", plainAnswer)
		c.hear(http1(head+length+"\n") + plainAnswer)
	}
	through(c, e, http1("POST /containers/a/json HTTP/1.1\nHost: a\nContent-Length: 0\n\n"))
	through(e, c, http1(ofLength(len(plainAnswer)))+plainAnswer)
	trailer := "HTTP/1.1 200 OK\nContent-Type: application/json\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n"
	body := fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n", len(plainAnswer), plainAnswer)
	ask(c, e, "/containers/a/json", trailer, body)
	c.hear(http1(trailer) + body)
	// The heads that come before an answer are passed on.
	ask(c, e, "/containers/a/json", "HTTP/1.1 103 Early Hints\nLink: a\n\n"+ofLength(len(plainAnswer)), plainAnswer)
	c.hear(http1("HTTP/1.1 103 Early Hints\nLink: a\n\n"+ofLength(len(filledAnswer))) + filledAnswer)
	// HTTP/1.0 has the end of the connection for the end of the body.
	through(c, e, http1("GET /containers/a/json HTTP/1.0\n\n"))
	e.say(http1("HTTP/1.0 200 OK\nContent-Type: application/json\n\n") + plainAnswer)
	e.closeWrite()
	c.hear(http1(fmt.Sprintf("HTTP/1.0 200 OK\nContent-Type: application/json\nContent-Length: %d\n\n", len(filledAnswer))) + filledAnswer)
	c.hearEnd()
}

// TestFillBroken: an answer that is broken or too long passes as it is, as far as it
// goes.
func TestFillBroken(t *testing.T) {
	const head = "HTTP/1.1 200 OK\nContent-Type: application/json\n"
	t.Run("cut off", func(t *testing.T) {
		c, e := serve(t, published, testkit.Quiet()).dial(t)
		ask(c, e, "/containers/a/json", head+"Content-Length: 1000\n\n", plainAnswer)
		e.closeWrite()
		c.hear(http1(head+"Content-Length: 1000\n\n") + plainAnswer)
		c.hearEnd()
	})
	t.Run("wrong chunks", func(t *testing.T) {
		c, e := serve(t, published, testkit.Quiet()).dial(t)
		ask(c, e, "/containers/a/json", head+"Transfer-Encoding: chunked\n\n", "2\r\n{}\r\nzz\r\n")
		c.hear(http1(head+"Transfer-Encoding: chunked\n\n") + "2\r\n{}\r\nzz\r\n")
		through(e, c, "more")
	})
	t.Run("too long", func(t *testing.T) {
		c, e := serve(t, published, testkit.Quiet()).dial(t)
		long := plainAnswer + strings.Repeat(" ", maxBody)
		through(c, e, http1("GET /containers/a/json HTTP/1.1\nHost: a\n\n"))
		go func() { _, _ = e.Write([]byte(http1(ofLength(len(long))) + long)) }()
		c.hear(http1(ofLength(len(long))) + long)
		ask(c, e, "/containers/a/json", ofLength(len(plainAnswer)), plainAnswer)
		c.hear(http1(ofLength(len(filledAnswer))) + filledAnswer)
	})
}

// TestNoDaemon: without an answer of the daemon those of the engine pass as they are,
// and the log says so once a minute.
func TestNoDaemon(t *testing.T) {
	logger, lines := logtest.NewNullLogger()
	var bounded []bool
	answer := func(ctx context.Context) ([]driver.PortStatus, error) {
		_, ok := ctx.Deadline()
		bounded = append(bounded, ok)
		return nil, errors.New("no gangway daemon is running")
	}
	c, e := serve(t, answer, logrus.NewEntry(logger)).dial(t)
	for range 3 {
		ask(c, e, "/containers/a/json", ofLength(len(plainAnswer)), plainAnswer)
		c.hear(http1(ofLength(len(plainAnswer))) + plainAnswer)
	}
	if !reflect.DeepEqual(bounded, []bool{true, true, true}) {
		t.Errorf("asked %v; want once for each answer, with a time limit", bounded)
	}
	if all := lines.AllEntries(); len(all) != 1 || !strings.Contains(fmt.Sprint(all[0].Data), "no gangway daemon") {
		t.Errorf("log: %v", all)
	}
	f := &filler{ports: answer, log: logrus.NewEntry(logger)}
	f.complain(errors.New("a"))
	f.told = f.told.Add(-logPause)
	f.complain(errors.New("b"))
	f.complain(errors.New("c"))
	if n := len(lines.AllEntries()); n != 3 {
		t.Errorf("%d lines in the log instead of 3: one a minute", n)
	}
}

// TestHungDaemon: a daemon that does not answer holds up nothing for long.
func TestHungDaemon(t *testing.T) {
	c, e := serve(t, func(ctx context.Context) ([]driver.PortStatus, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, testkit.Quiet()).dial(t)
	ask(c, e, "/containers/a/json", ofLength(len(plainAnswer)), plainAnswer)
	c.hear(http1(ofLength(len(plainAnswer))) + plainAnswer)
}

// TestNotAsked: who has no container on a network does not ask.
func TestNotAsked(t *testing.T) {
	c, e := serve(t, func(context.Context) ([]driver.PortStatus, error) {
		t.Error("the daemon was asked")
		return nil, nil
	}, testkit.Quiet()).dial(t)
	const answer = `[{"Ports":[],"NetworkSettings":{"Networks":{"none":{"EndpointID":""}}}}]`
	ask(c, e, "/containers/json", ofLength(len(answer)), answer)
	c.hear(http1(ofLength(len(answer))) + answer)
}

// FuzzFill: of whatever is JSON, nothing but Ports becomes another, and what is none
// stays.
func FuzzFill(f *testing.F) {
	for _, one := range fillings() {
		f.Add(one.answer, true)
		f.Add(one.answer, false)
	}
	f.Fuzz(func(t *testing.T, text string, list bool) {
		fill := &filler{ports: published, endpoints: ourEndpoints, log: testkit.Quiet()}
		got, changed := fill.fill(t.Context(), answerKind{list: list}, []byte(text))
		switch {
		case !changed:
			if string(got) != text {
				t.Errorf("changed to %s", got)
			}
		case json.Valid([]byte(text)) != json.Valid(got):
			t.Errorf("%s became %s", text, got)
		case json.Valid(got):
			if a, b := withoutPorts(t, text), withoutPorts(t, string(got)); !reflect.DeepEqual(a, b) {
				t.Errorf("%s became %s", text, got)
			}
		}
	})
}

// withoutPorts decodes a text without any Ports.
func withoutPorts(t *testing.T, text string) any {
	t.Helper()
	var v any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var drop func(any)
	drop = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			delete(v, "Ports")
			for _, inner := range v {
				drop(inner)
			}
		case []any:
			for _, inner := range v {
				drop(inner)
			}
		}
	}
	drop(v)
	return v
}
