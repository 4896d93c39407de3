package conntrack_test

import (
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/driver/conntrack"
)

// TestDropRenumbered: flows with an address of another prefix than today's go, those that come in as those
// that go out, and those that are not translated and had to be. Flows by addresses of the host stay, those within and those of others.
func TestDropRenumbered(t *testing.T) {
	added := map[string]flow{
		"today's out":     {6, "[fd09::4]:40000", "[2001:db8:f::53]:443", "[2001:db8:f::53]:443", "[2001:db8:a::4]:40000"},
		"yesterday's out": {6, "[fd09::4]:40001", "[2001:db8:f::53]:443", "[2001:db8:f::53]:443", "[2001:db8:b::4]:40001"},
		"yesterday's udp": {17, "[fd09::4]:40001", "[2001:db8:f::53]:443", "[2001:db8:f::53]:443", "[2001:db8:b::4]:40001"},
		"today's in":      {6, "[2001:db8:f::7]:41000", "[2001:db8:a::4]:80", "[fd09::4]:80", "[2001:db8:f::7]:41000"},
		"yesterday's in":  {6, "[2001:db8:f::7]:41001", "[2001:db8:b::4]:80", "[fd09::4]:80", "[2001:db8:f::7]:41001"},
		"within":          {6, "[fd09::4]:42000", "[fd09::2]:80", "[fd09::2]:80", "[fd09::4]:42000"},
		"hairpin":         {6, "[fd09::4]:42001", "[2001:db8::1]:80", "[fd09::2]:80", "[fd09::1]:42001"},
		"untranslated":    {6, "[fd09::4]:40003", "[2001:db8:f::53]:443", "[2001:db8:f::53]:443", "[fd09::4]:40003"},
		"not let in":      {6, "[2001:db8:f::7]:41003", "[2001:db8:a::4]:80", "[2001:db8:a::4]:80", "[2001:db8:f::7]:41003"},
		"to a neighbour":  {6, "[fd09::4]:40005", "[2001:db8:a:0:1::7]:80", "[2001:db8:a:0:1::7]:80", "[2001:db8:a::4]:40005"},
		"a peer's":        {6, "[fd08::4]:40006", "[2001:db8:a:0:1::7]:80", "[2001:db8:a:0:1::7]:80", "[2001:db8::1]:40006"},
		"the host's":      {6, "[2001:db8::1]:40007", "[2001:db8:a:0:1::7]:80", "[2001:db8:a:0:1::7]:80", "[2001:db8::1]:40007"},
		"trusted":         {6, "[2001:db8:f::7]:41004", "[fd09::4]:80", "[fd09::4]:80", "[2001:db8:f::7]:41004"},
		"to a peer":       {6, "[fd09::4]:42003", "[fd08::4]:80", "[fd08::4]:80", "[fd09::4]:42003"},
		"to its ports":    {6, "[fd09::4]:42004", "[2001:db8:c::4]:80", "[fd08::4]:80", "[fd09::4]:42004"},
		"to the host":     {6, "[fd09::4]:42005", "[2001:db8::1]:80", "[2001:db8::1]:80", "[fd09::4]:42005"},
		"another's":       {6, "[fd08::4]:42001", "[2001:db8:f::7]:80", "[2001:db8:f::7]:80", "[2001:db8:b::4]:42001"},
	}
	was := fixture
	fixture = map[string]flow{}
	for _, all := range []map[string]flow{was, added} {
		for name, f := range all {
			fixture[name] = f
		}
	}
	defer func() { fixture = was }()
	inside := netip.MustParsePrefix("fd09::/64")
	today := map[netip.Prefix]netip.Prefix{inside: netip.MustParsePrefix("2001:db8:a::/64")}
	for name, c := range map[string]struct {
		outside map[netip.Prefix]netip.Prefix
		gone    []string
	}{
		"nothing":      {},
		"another day":  {today, []string{"yesterday's out", "yesterday's udp", "yesterday's in", "untranslated", "not let in"}},
		"not known":    {map[netip.Prefix]netip.Prefix{inside: {}}, []string{"yesterday's out", "yesterday's udp", "yesterday's in", "today's out", "today's in", "untranslated", "to a neighbour"}},
		"other subnet": {map[netip.Prefix]netip.Prefix{netip.MustParsePrefix("fd07::/64"): {}}, nil},
	} {
		everyWay(t, name, func(t *testing.T, table *conntrack.Table) {
			if err := table.DropRenumbered(t.Context(), c.outside, []netip.Prefix{inside, netip.MustParsePrefix("fd08::/64")}); err != nil {
				t.Error(err)
			}
			wantGone(t, c.gone...)
		})
	}
}
