package config

import (
	"slices"
	"strings"
	"testing"
)

// TestOptionsTable: each row is complete, and has a parser for each place where it is
// allowed and for no other.
func TestOptionsTable(t *testing.T) {
	var names []string
	for _, row := range OptionsTable() {
		if row.Values == "" || row.Help == "" || row.Since == "" || strings.HasPrefix(row.Where.String(), "place") {
			t.Errorf("row %s lacks documentation", row.Name)
		}
		var parsers Where
		if row.network != nil {
			parsers |= ForNetwork
		}
		if row.container != nil {
			parsers |= ForContainer
		}
		if row.pool != nil {
			parsers |= ForPool
		}
		if want := map[bool]Where{false: row.Where}[row.Engine]; parsers != want {
			t.Errorf("row %s has parsers for %s, want %s", row.Name, parsers, want)
		}
		if !strings.HasPrefix(row.Name, "com.docker.network.") && !strings.HasPrefix(row.Name, "gangway.") {
			t.Errorf("row %s is neither Docker's nor Gangway's name", row.Name)
		}
		names = append(names, row.Name)
	}
	slices.Sort(names)
	if once := slices.Compact(slices.Clone(names)); len(once) != len(names) {
		t.Errorf("a name is there twice: %v", names)
	}
	if s := Where(8).String(); s != "place 8" {
		t.Error(s)
	}
}

// TestOptionsInPlaces: an option is taken where its row says, its parser refuses what
// it does not like, and its default counts; one for both is left to the network.
func TestOptionsInPlaces(t *testing.T) {
	var network, container []string
	row := func(name string, where Where) Option {
		o := Option{Name: name, Where: where, Default: "d"}
		if where&ForNetwork != 0 {
			o.network = func(_ *Network, v string) error { network = append(network, name+"="+v); return nil }
		}
		if where&ForContainer != 0 {
			o.container = func(_ *Endpoint, v string) error { container = append(container, name+"="+v); return nil }
		}
		return o
	}
	table := []Option{row("n", ForNetwork), row("c", ForContainer), row("b", ForBoth)}
	for _, c := range []struct {
		given              map[string]string
		network, container string
	}{
		{nil, "n=d b=d", "c=d"},
		{map[string]string{"n": "1", "c": "2", "b": "3"}, "n=1 b=3", "c=2 b=3"},
	} {
		network, container = nil, nil
		n, e := Network{IPv4: true}, Endpoint{}
		if err := n.take(table, c.given); err != nil {
			t.Error(err)
		}
		if err := e.take(table, c.given); err != nil {
			t.Error(err)
		}
		if got := strings.Join(network, " "); got != c.network {
			t.Errorf("%v: a network takes %q, want %q", c.given, got, c.network)
		}
		if got := strings.Join(container, " "); got != c.container {
			t.Errorf("%v: a container takes %q, want %q", c.given, got, c.container)
		}
	}
	for place, parts := range map[Where][]string{
		ForNetwork:   {"", "network option c is an option of one container: give it to docker run", ""},
		ForContainer: {"endpoint option n is an option of networks: give it to docker network create -o", "", ""},
	} {
		for i, part := range parts {
			_, err := find(table, place, table[i].Name)
			if part != "" {
				wantErr(t, err, part)
			} else if err != nil {
				t.Error(err)
			}
		}
	}
}
