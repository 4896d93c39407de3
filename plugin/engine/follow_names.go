package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/plugin/names"
)

// Change is what may have another name, or none any more. The zero value says nothing.
type Change struct {
	// Container is the id of one container.
	Container string
	// Networks says that there are others.
	Networks bool
}

// Naming is who is asked for names; *Client is the real one.
type Naming interface {
	NetworkNames(ctx context.Context) ([]names.Network, error)
	Places(ctx context.Context, containerIDs []string) ([]names.Place, error)
	Changes(ctx context.Context, opened func(), tell func(Change)) error
	Safe() bool
}

// NameOptions are what FollowNames works with.
type NameOptions struct {
	Engine Naming
	Names  *names.Source
	// Tell, if set, is told each time that the engine has answered, with nil, or has not.
	Tell func(error)
	Log  *logrus.Entry
}

func (o NameOptions) tell(err error) {
	if o.Tell != nil {
		o.Tell(err)
	}
}

const (
	// quiet is how long changes are collected: a container that starts makes several.
	quiet = 50 * time.Millisecond
	// again is the pause before an engine that ended is asked again.
	again = time.Second
	// relist is how often everything is asked for, as an engine leaves out events for who
	// takes them too slowly, and does not say so.
	relist = 5 * time.Minute
	// fewAsked is up to how many containers are asked for by id: their ids stand in the
	// line of the request.
	fewAsked = 32
)

// FollowNames keeps what an engine calls its networks and containers, until ctx ends.
// An engine that cannot be asked has no names: they may be others by now.
//
// An event only says what to ask for. Its attributes have names as well, but events
// may come late, twice, or not at all; an answer is what is so now.
func FollowNames(ctx context.Context, o NameOptions) {
	known := true // so that it is said once
	for {
		opened, err := o.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if !opened {
			o.Names.Forget()
			o.tell(err)
		}
		if opened != known {
			known = opened
			o.Log.WithError(err).Debug("the engine does not say what its networks and containers are called: ids are shown")
		}
		if !o.wait(ctx) {
			return
		}
	}
}

// wait waits until the engine may be asked again; false if ctx ends.
func (o NameOptions) wait(ctx context.Context) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(again):
		}
		if o.Engine.Safe() {
			return true
		}
		o.Names.Forget()
		o.tell(errStopped)
	}
}

// follow is FollowNames for one stream of events; opened says whether there was one.
func (o NameOptions) follow(ctx context.Context) (opened bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer cancel()
	todo := newTodo()
	open, ended := make(chan struct{}), make(chan error, 1)
	reader.Go(func() {
		ended <- o.Engine.Changes(ctx, func() { close(open) }, todo.add)
	})
	select {
	case <-open:
	case err := <-ended:
		return false, err
	}
	all := time.NewTicker(relist)
	defer all.Stop()
	for {
		pause := quiet
		err := o.ask(ctx, todo.take())
		if ctx.Err() == nil {
			o.tell(err)
		}
		if err != nil {
			// As long as the stream goes on there is an engine to be asked again.
			o.Log.WithError(err).Debug("the engine does not say what its networks and containers are called")
			todo.addAll()
			pause = again
		}
		select {
		case err := <-ended:
			return true, err
		case <-all.C:
			todo.addAll()
		case <-todo.more:
		}
		select {
		case err := <-ended:
			return true, err
		case <-time.After(pause):
		}
	}
}

// ask brings the book up to date.
func (o NameOptions) ask(ctx context.Context, t todoList) error {
	if t.networks {
		all, err := o.Engine.NetworkNames(ctx)
		if err != nil {
			return err
		}
		o.Names.SetNetworks(all)
	}
	if !t.all && len(t.containers) == 0 {
		return nil
	}
	ids := slices.Sorted(maps.Keys(t.containers))
	if t.all {
		ids = nil
	}
	places, err := o.Engine.Places(ctx, ids)
	switch {
	case err != nil:
		return err
	case t.all:
		o.Names.SetContainers(places)
	default:
		o.Names.Update(ids, places)
	}
	return nil
}

// todo collects what is to be asked for. It is bounded, and nobody waits for it: an
// engine drops events for who is slow.
type todo struct {
	mu   sync.Mutex
	list todoList
	// more has something in it when there is something in the list.
	more chan struct{}
}

type todoList struct {
	networks, all bool
	containers    map[string]bool
}

// newTodo returns a list with everything.
func newTodo() *todo {
	return &todo{list: todoList{networks: true, all: true}, more: make(chan struct{}, 1)}
}

func (t *todo) add(c Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list.networks = t.list.networks || c.Networks
	if c.Container != "" && !t.list.all {
		if t.list.containers == nil {
			t.list.containers = map[string]bool{}
		}
		t.list.containers[c.Container] = true
		t.list.all = len(t.list.containers) > fewAsked
	}
	t.wake()
}

func (t *todo) addAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = todoList{networks: true, all: true}
	t.wake()
}

func (t *todo) wake() {
	select {
	case t.more <- struct{}{}:
	default:
	}
}

func (t *todo) take() todoList {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.list
	t.list = todoList{}
	return list
}
