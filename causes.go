package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gangway-net/gangway/driver/cause"
)

// engineTime is how long an engine may not answer until that is a cause: one that starts, or is
// started again, is none.
const engineTime = time.Minute

// conditions are what keeps the daemon from being ok beside its datapath. Its methods are safe
// for concurrent use, and wait for nothing.
type conditions struct {
	mu sync.Mutex
	// lasting are those that stay until the end.
	lasting []cause.Cause
	// silent has for each engine, by socket, why it does not answer.
	silent map[string]silence
	// asked tell of one thing each, and are empty where there is nothing to tell.
	asked []condition
}

type silence struct {
	since time.Time
	why   error
}

type condition struct {
	code cause.Code
	ask  func() string
}

// last notes what stays so until the end.
func (c *conditions) last(code cause.Code, what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lasting = append(c.lasting, cause.Of(code, what))
}

// ask has something asked each time.
func (c *conditions) ask(code cause.Code, what func() string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, condition{code, what})
}

// heard notes whether an engine has answered.
func (c *conditions) heard(socket string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.silent == nil {
		c.silent = map[string]silence{}
	}
	switch s, was := c.silent[socket]; {
	case err == nil:
		delete(c.silent, socket)
	case was:
		c.silent[socket] = silence{s.since, err}
	default:
		c.silent[socket] = silence{time.Now(), err}
	}
}

// list returns the causes of now.
func (c *conditions) list() []cause.Cause {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.lasting)
	for _, socket := range slices.Sorted(maps.Keys(c.silent)) {
		if s := c.silent[socket]; time.Since(s.since) >= engineTime {
			all = append(all, cause.Of(cause.Unnamed, fmt.Sprintf("the engine's API at %s does not answer: %v", socket, s.why)))
		}
	}
	for _, q := range c.asked {
		if text := q.ask(); text != "" {
			all = append(all, cause.Of(q.code, text))
		}
	}
	return all
}
