package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gangway-net/gangway/plugin/names"
)

// maxEvent bounds one event, in bytes: it has all labels of its container.
const maxEvent = 4 << 20

// overlap is by how much a stream of events begins earlier than it is asked for: the
// engine answers before it listens, and events of that moment would be lost.
const overlap = 2 * time.Second

// listed is what is read of an element of ContainerList (Engine API).
type listed struct {
	ID              string
	Names           []string
	NetworkSettings struct {
		Networks map[string]*struct{ NetworkID, EndpointID string }
	}
}

// name is the container's own name: the others are those that links of other
// containers give it, such as /web/db.
func (l listed) name() string {
	for _, n := range l.Names {
		if name, ok := strings.CutPrefix(n, "/"); ok && !strings.Contains(name, "/") {
			return name
		}
	}
	return ""
}

// NetworkNames returns the names of the engine's networks.
func (c *Client) NetworkNames(ctx context.Context) ([]names.Network, error) {
	var all []names.Network
	err := c.getJSON(ctx, "/networks", &all)
	return all, err
}

// Places returns the places that running containers have on networks: those of the
// given containers, or of all for none.
func (c *Client) Places(ctx context.Context, containerIDs []string) ([]names.Place, error) {
	path := "/containers/json"
	if len(containerIDs) > 0 {
		path += "?" + filters("id", containerIDs...)
	}
	var all []listed
	if err := c.getJSON(ctx, path, &all); err != nil {
		return nil, err
	}
	var places []names.Place
	for _, l := range all {
		// An engine takes the beginning of an id, too.
		if len(containerIDs) > 0 && !slices.Contains(containerIDs, l.ID) {
			continue
		}
		for _, n := range l.NetworkSettings.Networks {
			if n != nil && n.EndpointID != "" {
				places = append(places, names.Place{EndpointID: n.EndpointID, NetworkID: n.NetworkID, Container: names.Container{ID: l.ID, Name: l.name()}})
			}
		}
	}
	return places, nil
}

// filters is the parameter that lists take.
func filters(name string, values ...string) string {
	set := map[string]bool{}
	for _, v := range values {
		set[v] = true
	}
	b, err := json.Marshal(map[string]map[string]bool{name: set})
	if err != nil {
		return ""
	}
	return url.Values{"filters": {string(b)}}.Encode()
}

// event is what is read of an event (Engine API, SystemEvents).
type event struct {
	Type, Action string
	Actor        struct {
		ID         string
		Attributes map[string]string
	}
}

// changed says what may be called something else after an event.
func (e event) changed() (c Change) {
	switch e.Type {
	case "container":
		switch e.Action {
		case "start", "die", "rename", "destroy":
			c.Container = e.Actor.ID
		}
	case "network":
		switch e.Action {
		case "create", "destroy":
			c.Networks = true
		case "connect", "disconnect":
			c.Container = e.Actor.Attributes["container"]
		}
	}
	if !isID(c.Container) {
		c.Container = ""
	}
	return c
}

// turn is how long one question for events stays open. An engine that ends waits for its
// answers (28.5: for 5 s), so no answer takes longer than this.
const turn = 2 * time.Second

// Changes calls tell for whatever may have other names, until ctx or the engine ends.
// It calls opened before, when the engine listens.
//
// All questions for events go over one connection. It is the engine's own: when it is
// closed, the engine is ending, and is not connected to again.
func (c *Client) Changes(ctx context.Context, opened func(), tell func(Change)) error {
	c.wake.begin()
	defer c.stream.CloseIdleConnections()
	since := time.Now().Add(-overlap)
	for {
		now := time.Now()
		err := c.events(ctx, since, now.Add(turn), opened, tell)
		if err != nil {
			return err
		}
		opened, since = func() {}, now
	}
}

// events asks for the events of a time.
func (c *Client) events(ctx context.Context, since, until time.Time, opened func(), tell func(Change)) error {
	query := fmt.Sprintf("since=%s&until=%s&%s", stamp(since), stamp(until), filters("type", "container", "network"))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://engine/events?"+query, nil)
	if err != nil {
		return err
	}
	resp, err := c.stream.Do(req)
	if err != nil {
		c.wake.ended()
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /events: %s", resp.Status)
	}
	opened()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		var e event
		if err = json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("GET /events: %w", err)
		}
		if change := e.changed(); change != (Change{}) {
			tell(change)
		}
	}
	err = lines.Err()
	if err == nil && time.Until(until) > turn/2 {
		err = io.EOF // an answer that ends early is the engine's end
	}
	if err != nil && !errors.Is(err, bufio.ErrTooLong) {
		c.wake.ended()
	}
	return err
}

// stamp is a time as the engine reads it.
func stamp(t time.Time) string {
	return fmt.Sprintf("%d.%09d", t.Unix(), t.Nanosecond())
}

// Safe says whether to ask again after the engine ended starts no engine that somebody
// has stopped.
func (c *Client) Safe() bool { return c.wake.safe() }
