package main

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gangway-net/gangway/driver/cause"
)

// TestConditions: what is asked is told as long as it is so, an engine that does not answer
// after a minute, and what stays always.
func TestConditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c conditions
		unserved := "in use"
		c.ask(cause.Unserved, func() string { return unserved })
		c.last(cause.MarkShared, "shared")
		want := func(codes string) {
			t.Helper()
			var got []string
			for _, e := range c.list() {
				got = append(got, string(e.Code))
			}
			if strings.Join(got, " ") != codes {
				t.Errorf("%v, want %s", got, codes)
			}
		}
		want("mark-shared metrics-unserved")
		unserved = ""
		c.heard("/run/docker.sock", errors.New("first"))
		time.Sleep(engineTime - time.Second)
		c.heard("/run/docker.sock", errors.New("second"))
		want("mark-shared")
		time.Sleep(time.Second)
		want("mark-shared engine-unreachable")
		if what := c.list()[1].What; !strings.HasSuffix(what, "/run/docker.sock does not answer: second") {
			t.Error(what)
		}
		c.heard("/run/docker.sock", nil)
		want("mark-shared")
	})
}
