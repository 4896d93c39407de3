package dockerapi

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
)

// listed are three containers as an engine lists them: of Gangway's ep1, with a port of its
// own, and with one that is exposed only.
const (
	ours    = `{"Id":"c1","Ports":[],"NetworkSettings":{"Networks":{"a":{"EndpointID":"ep1"}}}}`
	engines = `{"Id":"c2","Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8001,"Type":"tcp"}],"NetworkSettings":{"Networks":{}}}`
	exposes = `{"Id":"c3","Ports":[{"PrivatePort":53,"Type":"udp"}],"NetworkSettings":{"Networks":{}}}`
)

// filtered is what a client asks for, what the engine is asked for then, and who is in the
// answer.
type filtered struct {
	query, asked string
	want         string
}

func filters() []filtered {
	const values = `{"publish":{"PORT":true}}`
	publish := func(port string) string {
		return "filters=" + url.QueryEscape(strings.ReplaceAll(values, "PORT", port))
	}
	expose := func(port string) string { return strings.ReplaceAll(publish(port), "publish", "expose") }
	quoted := func(filters string) string { return "filters=" + url.QueryEscape(filters) }
	return []filtered{
		{publish("8000"), "", "c1"},
		{publish("8000/tcp"), "", "c1"},
		{publish("8000/udp"), "", ""},
		{publish("9001/udp"), "", "c1"},
		{publish("8001"), "", "c2"},
		{publish("8000-8001"), "", "c1 c2"},
		{publish("8000-9000") + "&limit=1", "all=1", "c1"},
		{publish("8000-9000") + "&limit=-1", "limit=-1", "c1 c2"},
		{publish("8001") + "&size=1&all=1", "all=1&size=1", "c2"},
		{expose("80"), "", "c1 c2"},
		{expose("53/udp"), "", "c1 c3"},
		{quoted(`{"publish":{"8001":true},"expose":{"53/udp":true}}`), "", "c1 c2 c3"},
		{quoted(`{"publish":["8000"]}`), "", "c1"},
		{quoted(`{"publish":{"8000":true},"status":{"exited":true,"running":true}}`), quoted(`{"status":{"exited":true,"running":true}}`), "c1"},
		// What the engine refuses it is to refuse itself, and what has no such filter is its own.
		{publish("8000x"), "same", "all"},
		{publish("8000:80"), "same", "all"},
		{publish("9-8"), "same", "all"},
		{publish("8000") + "&limit=x", "same", "all"},
		{quoted(`{"publish":7}`), "same", "all"},
		{quoted(`{"status":{"running":true}}`), "same", "all"},
		{"filters=no", "same", "all"},
		{"size=1", "same", "all"},
	}
}

// TestFilter: a list that is filtered by ports has the containers of both, and the engine is
// asked for all of them; the connection goes on.
func TestFilter(t *testing.T) {
	client, engine := serve(t, published, testkit.Quiet()).dial(t)
	for _, f := range filters() {
		t.Run(f.query, func(t *testing.T) {
			c, e := end{client.UnixConn, t, "client"}, end{engine.UnixConn, t, "engine"}
			const head = " HTTP/1.1\nHost: a\nX-Other: b\n\n"
			c.say(http1("GET /v1.41/containers/json?" + f.query + head))
			switch f.asked {
			case "same":
				e.hear(http1("GET /v1.41/containers/json?" + f.query + head))
			case "":
				e.hear(http1("GET /v1.41/containers/json" + head))
			default:
				e.hear(http1("GET /v1.41/containers/json?" + f.asked + head))
			}
			answer := "[" + strings.Join([]string{ours, engines, exposes}, ",") + "]\n"
			e.say(http1(ofLength(len(answer))) + answer)
			filled := strings.Replace(ours, "[]", "["+udpOf1+","+listOf1+"]", 1)
			want := "[" + strings.Join([]string{filled, engines, exposes}, ",") + "]\n"
			if f.want != "all" {
				var some []string
				for i, text := range []string{filled, engines, exposes} {
					if strings.Contains(f.want, fmt.Sprintf("c%d", i+1)) {
						some = append(some, text)
					}
				}
				want = "[" + strings.Join(some, ",") + "]\n"
			}
			c.hear(http1(ofLength(len(want))) + want)
		})
	}
	client.closeWrite()
	engine.hearEnd()
	engine.closeWrite()
	client.hearEnd()
}

// TestFilterRefused: an answer that cannot be filtered is no answer; an error is passed on.
func TestFilterRefused(t *testing.T) {
	const query = "?filters=%7B%22publish%22%3A%7B%228000%22%3Atrue%7D%7D"
	good := http1(ofLength(2))
	for name, answer := range map[string]string{
		"no list": good + "{}", "a list of another form": http1(ofLength(3)) + "[7]", "cut off": http1(ofLength(9)) + "[{",
		"another type": http1("HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 2\n\n") + "[]",
		"too long":     http1(ofLength(maxBody+1)) + "[" + strings.Repeat(" ", maxBody),
	} {
		t.Run(name, func(t *testing.T) {
			c, e := serve(t, published, testkit.Quiet()).dial(t)
			c.say(http1("GET /containers/json" + query + " HTTP/1.1\nHost: a\n\n"))
			e.hear(http1("GET /containers/json HTTP/1.1\nHost: a\n\n"))
			go func() {
				_, _ = e.Write([]byte(answer)) // it may not be taken
				_ = e.CloseWrite()
			}()
			c.hear("HTTP/1.1 502 Bad Gateway\r\n")
		})
	}
	c, e := serve(t, published, testkit.Quiet()).dial(t)
	c.say(http1("GET /containers/json" + query + " HTTP/1.1\nHost: a\n\n"))
	e.hear(http1("GET /containers/json HTTP/1.1\nHost: a\n\n"))
	through(e, c, http1("HTTP/1.1 500 Internal Server Error\nContent-Type: application/json\nContent-Length: 2\n\n{}"))
}
