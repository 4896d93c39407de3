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

// TestScopeString: a scope says what it is of, in bounds.
func TestScopeString(t *testing.T) {
	var some, many Scope
	some.Add("gv-2")
	some.Add("gw-1")
	some.Outside = true
	for i := range 20 {
		many.Add(string(rune('a' + i)))
	}
	for want, s := range map[string]Scope{
		"no link": {}, "all links": {All: true, Outside: true}, "links gv-2, gw-1, what leads outside": some, "links a, b, c, d, e, f, g, h and 12 more": many,
	} {
		if got := s.String(); got != want {
			t.Errorf("%+v: %q, want %q", s, got, want)
		}
	}
}
