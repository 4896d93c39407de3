package spec

import (
	"reflect"
	"testing"
)

func TestScope(t *testing.T) {
	of := func(links ...string) (s Scope) {
		for _, name := range links {
			s.Add(name)
		}
		return s
	}
	tests := []struct{ a, b, both Scope }{
		{of(), of(), of()},
		{of("a"), of(), of("a")},
		{of(), of("a", ""), of("a")},
		{of("a", "b"), of("b", "c"), of("a", "b", "c")},
		{of("a"), Scope{All: true}, Scope{All: true}},
		{Scope{All: true}, of("a"), Scope{All: true}},
		{of(), Scope{All: true, Links: map[string]bool{"a": true}}, Scope{All: true}},
	}
	for _, c := range tests {
		got := c.a
		got.Join(c.b)
		if !reflect.DeepEqual(got, c.both) {
			t.Errorf("%+v and %+v are %+v", c.a, c.b, got)
		}
		if got.Has("a") != (got.All || got.Links["a"]) || got.Has("") != got.All || got.Empty() != (len(got.Links) == 0 && !got.All) {
			t.Errorf("%+v has a: %t, none: %t, empty: %t", got, got.Has("a"), got.Has(""), got.Empty())
		}
	}
}
