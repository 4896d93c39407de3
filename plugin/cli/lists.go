package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

// fetch returns what the daemon lists under a name, decoded, and as it came.
func fetch[T any](ctx context.Context, q query, name string) (l excerpt[T], err error) {
	d, err := q.find(ctx)
	if err != nil {
		return l, err
	}
	raw, err := d.ask(ctx, name)
	if err != nil {
		return l, err
	}
	if err = json.Unmarshal(raw, &l.list); err == nil {
		err = json.Unmarshal(raw, &l.each)
	}
	if err != nil {
		return l, fmt.Errorf("the daemon on %s is of another version: %w", d.socket, err)
	}
	return l, nil
}

// excerpt is a list of which some is wanted.
type excerpt[T any] struct {
	list []T
	each []json.RawMessage
}

// keep leaves what is wanted.
func (l *excerpt[T]) keep(wanted func(T) bool) {
	var list []T
	each := []json.RawMessage{}
	for i, e := range l.list {
		if wanted(e) {
			list, each = append(list, e), append(each, l.each[i])
		}
	}
	l.list, l.each = list, each
}

// printRaw prints what is left as the daemon has said it.
func (l excerpt[T]) printRaw(q query) error {
	raw, err := json.Marshal(l.each)
	if err != nil {
		return err
	}
	return q.printJSON(raw)
}

// lists is what commands that print a list have besides others.
type lists struct {
	// argument says that one argument tells which part of the list is wanted.
	argument bool
	// network says that there is --network.
	network bool
	// forms are what --format takes, the default first; nil for tables and templates.
	forms []string
	// complete returns what the argument may be.
	complete func(ctx context.Context, q query) []string
	// flags declares those that only this list has; nil for none.
	flags func(f *pflag.FlagSet, q *query)
}

// wanted is which part of a list is wanted.
type wanted struct {
	argument, network string
	// second is the other argument of a pair.
	second string
	span
}

// network returns the ids of the networks that --network names; nil for all.
func (q query) network(ctx context.Context) (map[string]bool, error) {
	if q.want.network == "" {
		return nil, nil
	}
	q.awaitNetwork(ctx, q.want.network)
	l, err := fetch[plugin.Network](ctx, q, "networks")
	if err != nil {
		return nil, err
	}
	return pick("network", "is one of Gangway's", q.want.network, networkRefs(l.list))
}

// name is a name, or in its place an id.
func (q query) name(name, id string) string {
	if name == "" {
		return q.id(id)
	}
	return name
}

// orID is name for sorting.
func orID(name, id string) string { return cmp.Or(name, id) }

// containerNames and networkNames are for completion: without a daemon that answers
// there are none.
func containerNames(ctx context.Context, q query) (all []string) {
	l, err := fetch[plugin.Endpoint](ctx, q, "endpoints")
	if err != nil {
		return nil
	}
	for _, e := range l.list {
		if e.ContainerName != "" {
			all = append(all, printable.Word(e.ContainerName))
		}
	}
	return all
}

func networkNames(ctx context.Context, q query) (all []string) {
	l, err := fetch[plugin.Network](ctx, q, "networks")
	if err != nil {
		return nil
	}
	for _, n := range l.list {
		if n.Name != "" {
			all = append(all, printable.Word(n.Name))
		}
	}
	return all
}
