package cli

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gangway-net/gangway/plugin"
)

const (
	// nameTime is how long a name is waited for that may be that of something new. The
	// daemon asks the engine in the background, and docker run has returned by then.
	nameTime = 3 * time.Second
	// namePause is the time between two looks.
	namePause = 50 * time.Millisecond
)

// awaitContainer waits while nothing is called as a word says, and a container runs whose name
// is not known yet. Whether there is one then is for the command to say, and so are errors.
func (q query) awaitContainer(ctx context.Context, word string) {
	if _, isPort, _ := parsePort(word); isPort || word == "" || word == hostWord {
		return
	}
	if _, err := netip.ParseAddr(strings.Trim(word, "[]")); err == nil {
		return
	}
	await(ctx, func() (again bool) {
		l, err := fetch[plugin.Endpoint](ctx, q, "endpoints")
		if err != nil {
			return false
		}
		_, err = pick("", "", word, containers(l.list))
		return unknown(err) && slices.ContainsFunc(l.list, func(e plugin.Endpoint) bool { return e.Sandbox != "" && e.ContainerName == "" })
	})
}

// awaitNetwork is the same for a network.
func (q query) awaitNetwork(ctx context.Context, word string) {
	await(ctx, func() (again bool) {
		l, err := fetch[plugin.Network](ctx, q, "networks")
		if err != nil {
			return false
		}
		_, err = pick("", "", word, networkRefs(l.list))
		return unknown(err) && slices.ContainsFunc(l.list, func(n plugin.Network) bool { return n.Name == "" })
	})
}

func unknown(err error) bool {
	missing := (*notFoundError)(nil)
	return errors.As(err, &missing)
}

// await looks until there is no need to look again, for as long as a name is waited for.
func await(ctx context.Context, again func() bool) {
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	for again() && ctx.Err() == nil {
		sleep(ctx, namePause)
	}
}
