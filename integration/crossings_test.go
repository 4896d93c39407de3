package integration

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/integration/harness"
)

// crossings asks all the time by ways that must be open and by ways that must
// be closed, on two networks whose subnets the LAN has a route to.
type crossings struct {
	engine       *harness.Engine
	open, closed []crossing
	// bridges are the networks' bridges.
	bridges []string
}

type crossing struct {
	name string
	row  *harness.Repeat
}

// Networks and containers of crossings: c1 (published) and c2 are on n1, c3 is
// on n2.
const (
	crossingSubnets = "10.97.0.0/23"
	crossingGateway = "10.97.0.1"
	crossingServer  = "10.97.0.10"
)

// cross makes the networks; start starts the containers and the questions.
func cross(t *testing.T, e *harness.Engine) *crossings {
	t.Helper()
	n1 := e.Network(t, "n1", "--subnet", "10.97.0.0/24", "--gateway", crossingGateway)
	n2 := e.Network(t, "n2", "--subnet", "10.97.1.0/24")
	e.LAN.Outside.Run(t, "ip", "route", "add", crossingSubnets, "via", harness.LanIPv4)
	t.Cleanup(func() { e.LAN.Outside.Run(t, "ip", "route", "del", crossingSubnets) })
	return &crossings{engine: e, bridges: []string{"gw-" + n1[:12], "gw-" + n2[:12]}}
}

func (c *crossings) start(t *testing.T) {
	t.Helper()
	e, out := c.engine, c.engine.LAN.Outside
	out.Serve(t, "tcp", "192.0.2.2:99")
	e.Serve(t, harness.Container{Name: "c1", Network: "n1", Args: append(publish("8000:80"), "--ip", crossingServer)},
		"tcp", "0.0.0.0:80-81", "udp", "0.0.0.0:80")
	e.Sleep(t, harness.Container{Name: "c2", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "c3", Network: "n2"})
	// A first packet is not repeated before a second is over: a question lasts
	// shorter, so that its answer shows what held when it was asked.
	open := []string{"-every", "40ms", "-timeout", "900ms"}
	c.open = []crossing{
		{"outside to published", out.Repeat(t, "tcp", "192.0.2.1:8000", open...)},
		{"container to container", e.RepeatInside(t, "c2", "udp", crossingServer+":80", open...)},
		{"container to outside", e.RepeatInside(t, "c2", "tcp", "192.0.2.2:99", open...)},
	}
	c.closed = closedWays(t, e, "c3", crossingServer)
}

// closedWays asks a server's port 81, which is not published, from outside, and
// its port 80 from a container of another network.
func closedWays(t *testing.T, e *harness.Engine, stranger, server string) []crossing {
	t.Helper()
	flags := []string{"-every", "15ms", "-timeout", "500ms"}
	return []crossing{
		{"outside to unpublished", e.LAN.Outside.Repeat(t, "tcp", server+":81", flags...)},
		{"other network", e.RepeatInside(t, stranger, "tcp", server+":80", flags...)},
	}
}

// works fails the test unless the ways to and from containers are open, by one
// question each, and the host's name server answers if it should.
func (c *crossings) works(t *testing.T, nameServer bool) {
	t.Helper()
	e := c.engine
	from(t, "published port", e.LAN.Outside.Get(t, "tcp", "192.0.2.1:8000"), "c1", "192.0.2.2")
	by(t, "published port from the host", e.Get(t, "tcp", "192.0.2.1:8000"), "c1")
	by(t, "published port by loopback", e.Get(t, "tcp", "127.0.0.1:8000"), "c1")
	by(t, "published port from another network", e.Inside("c3").Get(t, "tcp", "192.0.2.1:8000"), "c1")
	by(t, "container to container by name", e.Inside("c2").Get(t, "tcp", "c1:80"), "c1")
	from(t, "container to outside", e.Inside("c2").Get(t, "tcp", "192.0.2.2:99"), "outside", harness.LanIPv4)
	if nameServer {
		by(t, "container to the host's name server", e.Inside("c2").Get(t, "udp", crossingGateway+":53"), e.Name)
	}
}

// incident is what was done to the host, and when.
type incident struct {
	what             string
	began, done, end time.Time
	repairs          []events.Event
}

// suffer is after for a command on the engine's host.
func (c *crossings) suffer(t *testing.T, command, mends string) incident {
	t.Helper()
	return c.after(t, command, mends, func() { c.engine.Run(t, "sh", "-ec", command) })
}

// after does something to the host, waits until gangway has mended and all ways
// are open, and returns when that was. mends, unless empty, is a part of a
// repair that has to follow.
func (c *crossings) after(t *testing.T, what, mends string, do func()) incident {
	t.Helper()
	e, p := c.engine, &patient{engine: c.engine}
	last := uint64(0)
	if before := p.events(t, 0); len(before) > 0 {
		last = before[len(before)-1].Number
	}
	i := incident{what: what, began: time.Now()}
	do()
	i.done = time.Now()
	harness.Eventually(t, "all is well after "+what, func() error {
		_, err := e.LAN.Outside.TryGet("tcp", "192.0.2.1:8000", "-timeout", "500ms")
		for _, at := range []string{crossingServer + ":80", "192.0.2.2:99"} {
			_, inside := e.Inside("c2").TryGet("tcp", at, "-timeout", "500ms")
			err = errors.Join(err, inside)
		}
		i.repairs = p.events(t, last)
		if err == nil && mends != "" && !slices.ContainsFunc(i.repairs, func(r events.Event) bool { return strings.Contains(r.Text, mends) }) {
			err = fmt.Errorf("no repair of %q in %v", mends, i.repairs)
		}
		return err
	})
	i.end = time.Now()
	return i
}

// judge ends the questions and fails the test if a closed way was open at any
// time, or if gangway took the incidents for flapping. That open ways come back at all is
// what after waits for; how soon is logged, as it is the machine's as well.
func (c *crossings) judge(t *testing.T, incidents []incident) {
	t.Helper()
	for _, way := range c.closed {
		row := way.row.Row(t)
		for _, i := range incidents {
			for _, q := range i.during(row) {
				if q.Answered {
					t.Errorf("%s: open %s after the start of %q, which ended %s after it", way.name, q.Asked.Sub(i.began), i.what, i.done.Sub(i.began))
				}
			}
		}
		t.Logf("%s: %d questions", way.name, len(row))
	}
	back := make([]time.Duration, len(incidents))
	for _, way := range c.open {
		row := way.row.Row(t)
		for n, i := range incidents {
			for _, q := range i.during(row) {
				if !q.Answered {
					back[n] = max(back[n], q.Asked.Sub(i.done))
				}
			}
		}
	}
	for n, i := range incidents {
		t.Logf("back %d ms after the end of %q; %d repairs, the last %d ms after its start",
			back[n].Milliseconds(), i.what, len(i.repairs), max(0, i.mended().Milliseconds()))
	}
	c.steady(t)
}

// steady fails the test if gangway took anything for flapping since its start.
func (c *crossings) steady(t *testing.T) {
	t.Helper()
	var all []events.Event
	c.engine.GangwayJSON(t, &all, "events")
	for _, e := range all {
		if e.Kind == events.Flapping {
			t.Errorf("taken for flapping: %s", e.Text)
		}
	}
}

// during returns the questions that were asked from the incident's begin to its
// end.
func (i incident) during(row []harness.Question) []harness.Question {
	return slices.DeleteFunc(slices.Clone(row), func(q harness.Question) bool {
		return q.Asked.Before(i.began) || q.Asked.After(i.end)
	})
}

// mended is the time from the begin to the last repair; negative if there was
// none.
func (i incident) mended() time.Duration {
	if len(i.repairs) == 0 {
		return -1
	}
	return i.repairs[len(i.repairs)-1].Time.Sub(i.began)
}

// writeFile writes a file on the engine's host.
func writeFile(t *testing.T, e *harness.Engine, path, text string) {
	t.Helper()
	if err := os.WriteFile(e.Path(path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
