package dockerapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver"
)

const (
	// maxBody bounds an answer that is held to be filled; a container takes about one
	// kilobyte. What is longer passes as it is.
	maxBody = 64 << 20
	// askTime bounds the question for ports: a person waits for docker ps.
	askTime = 2 * time.Second
	// logPause is how long after a line in the log there is no other of its kind.
	logPause = time.Minute
)

// answerKind is which of the two answers it is: where a container's ports stand in
// it, and how.
type answerKind struct {
	path *regexp.Regexp
	// list says that the answer is a list of containers.
	list bool
}

// answerKinds are the routes of the engine; a list has its ports beside the network
// settings, a container within.
func answerKinds() []answerKind {
	return []answerKind{
		{path: regexp.MustCompile(`^(/v[0-9.]+)?/containers/json$`), list: true},
		{path: regexp.MustCompile(`^(/v[0-9.]+)?/containers/.+/json$`)},
	}
}

// fillable says what the answer to a request is, if ports are to be filled in.
func fillable(req *http.Request, a answerHead) *answerKind {
	if req.Method != http.MethodGet || a.status != http.StatusOK || a.header.Get("Content-Encoding") != "" {
		return nil
	}
	if form, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); err != nil || form != "application/json" {
		return nil
	}
	for _, kind := range answerKinds() {
		if kind.path.MatchString(req.URL.Path) {
			return &kind
		}
	}
	return nil
}

// recorder holds an answer back, as it is on the wire, as long as it is not too long.
type recorder struct {
	head, body []byte
	through    io.Writer
	passed     bool
	// kept says that it must not pass as it is.
	kept bool
}

func (r *recorder) Write(p []byte) (int, error) {
	if !r.passed && len(r.body)+len(p) <= maxBody {
		r.body = append(r.body, p...)
		return len(p), nil
	}
	if r.kept {
		return 0, errNotFiltered
	}
	if err := r.pass(); err != nil {
		return 0, err
	}
	return r.through.Write(p)
}

// pass passes on what was held.
func (r *recorder) pass() error {
	if r.passed {
		return nil
	}
	r.passed = true
	if _, err := r.through.Write(r.head); err != nil {
		return err
	}
	_, err := r.through.Write(r.body)
	return err
}

// decodeBody returns the content of a body that was recorded from the wire. One with
// a trailer is an error: with a length there is no place for it.
func decodeBody(head, wire []byte, req *http.Request) ([]byte, error) {
	res, err := http.ReadResponse(bufio.NewReader(io.MultiReader(bytes.NewReader(head), bytes.NewReader(wire))), req)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(res.Body)
	if err == nil && len(res.Trailer) > 0 {
		err = errNotHTTP
	}
	return text, errors.Join(err, res.Body.Close())
}

// filler puts ports into answers.
type filler struct {
	ports     func(context.Context) ([]driver.PortStatus, error)
	endpoints func(context.Context) (map[string]bool, error)
	log       *logrus.Entry

	mu sync.Mutex
	// told is when the log last said that there is no answer.
	told time.Time
}

// fill returns an answer with the ports of Gangway's networks, and whether that is
// another one. What cannot be read is no answer of the engine, and left alone.
func (f *filler) fill(ctx context.Context, kind answerKind, text []byte) ([]byte, bool) {
	containers, err := readContainers(kind, text)
	if err != nil || !slices.ContainsFunc(containers, func(c container) bool { return len(c.endpoints) > 0 && c.end > 0 }) {
		return text, false
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	published, err := f.ports(ctx)
	if err != nil {
		f.complain(err)
		return text, false
	}
	byEndpoint := map[string][]driver.PortStatus{}
	for _, p := range published {
		byEndpoint[p.EndpointID] = append(byEndpoint[p.EndpointID], p)
	}
	var out []byte
	last := 0
	for _, c := range containers {
		var runs []driver.PortStatus
		for _, id := range c.endpoints {
			runs = append(runs, byEndpoint[id]...)
		}
		exposed := f.exposed(ctx, c)
		if len(runs)+len(exposed) == 0 || c.end == 0 {
			continue
		}
		var ports []byte
		if kind.list {
			ports, err = mergeList(text[c.start:c.end], bindings(runs))
		} else {
			ports, err = mergeMap(text[c.start:c.end], bindings(runs), exposed)
		}
		if err != nil {
			continue
		}
		out = append(append(out, text[last:c.start]...), ports...)
		last = c.end
	}
	return append(out, text[last:]...), last > 0
}

// exposed lists the ports that a container says it serves, if it is on a network of
// Gangway's: an engine shows them beside those that are published, and programs such as
// Traefik take a port from there.
func (f *filler) exposed(ctx context.Context, c container) []string {
	if len(c.exposed) == 0 {
		return nil
	}
	ours, err := f.endpoints(ctx)
	if err != nil {
		f.complain(err)
		return nil
	}
	if !slices.ContainsFunc(c.endpoints, func(id string) bool { return ours[id] }) {
		return nil
	}
	return c.exposed
}

// complain says in the log, now and then, why ports are missing.
func (f *filler) complain(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.told.IsZero() && time.Since(f.told) < logPause {
		return
	}
	f.told = time.Now()
	f.log.WithError(err).Warn("answers of the engine pass without the ports of Gangway's networks")
}

// container is what is needed of a container in an answer: where in the text the
// value of Ports is, the ids of its endpoints, and, of a single one, the ports that it
// exposes.
type container struct {
	start, end int
	endpoints  []string
	exposed    []string
}

// readContainers finds the containers of an answer, in their order.
func readContainers(kind answerKind, text []byte) ([]container, error) {
	if !kind.list {
		var c container
		err := eachMember(text, 0, func(name string, value []byte, at int) error {
			switch name {
			case "Config":
				return c.readConfig(value)
			case "NetworkSettings":
				return c.readSettings(value, at, true)
			}
			return nil
		})
		return []container{c}, err
	}
	var all []container
	err := eachElement(text, func(value []byte, at int) error {
		var c container
		err := eachMember(value, at, func(name string, value []byte, at int) error {
			switch name {
			case "Ports":
				c.start, c.end = at, at+len(value)
			case "NetworkSettings":
				return c.readSettings(value, at, false)
			}
			return nil
		})
		all = append(all, c)
		return err
	})
	return all, err
}

// readConfig reads Config.
func (c *container) readConfig(text []byte) error {
	var config struct{ ExposedPorts map[string]json.RawMessage }
	if err := json.Unmarshal(text, &config); err != nil {
		return err
	}
	c.exposed = slices.Sorted(maps.Keys(config.ExposedPorts))
	return nil
}

// readSettings reads NetworkSettings; its Ports count for a single container only.
func (c *container) readSettings(text []byte, at int, ports bool) error {
	if string(text) == "null" {
		return nil
	}
	return eachMember(text, at, func(name string, value []byte, at int) error {
		switch name {
		case "Ports":
			if ports {
				c.start, c.end = at, at+len(value)
			}
		case "Networks":
			var networks map[string]struct{ EndpointID string }
			if err := json.Unmarshal(value, &networks); err != nil {
				return err
			}
			for _, n := range networks {
				if n.EndpointID != "" {
					c.endpoints = append(c.endpoints, n.EndpointID)
				}
			}
		}
		return nil
	})
}

// eachMember visits the members of an object, which is at a place in a longer text.
func eachMember(text []byte, at int, visit func(name string, value []byte, at int) error) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	return eachValue(dec, '{', func() error {
		name, err := dec.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		return visit(name.(string), value, at+int(dec.InputOffset())-len(value))
	})
}

// eachElement visits the elements of a list.
func eachElement(text []byte, visit func(value []byte, at int) error) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	return eachValue(dec, '[', func() error {
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return err
		}
		return visit(value, int(dec.InputOffset())-len(value))
	})
}

// eachValue has what is within an object or a list read.
func eachValue(dec *json.Decoder, open json.Delim, read func() error) error {
	first, err := dec.Token()
	if err != nil {
		return err
	}
	if first != open {
		return fmt.Errorf("%v instead of %v", first, open)
	}
	for dec.More() {
		if err = read(); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}
