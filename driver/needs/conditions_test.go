package needs

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// someHost has what is named: addresses, links, and the link by which all is reached.
type someHost struct {
	has map[string]bool
	by  string
	err error
}

func (h someHost) HostAddresses(context.Context) (map[netip.Addr]bool, error) {
	found := map[netip.Addr]bool{}
	for name := range h.has {
		if a, err := netip.ParseAddr(name); err == nil {
			found[a] = true
		}
	}
	return found, h.err
}

func (h someHost) HasLink(_ context.Context, name string) (bool, error) { return h.has[name], h.err }

func (h someHost) LinkTo(context.Context, netip.Addr) (string, error) { return h.by, h.err }

// lines are those of the causes.
func lines(all []cause.Cause) (text string) {
	for _, c := range all {
		text += c.Line() + "\n"
	}
	return text
}

// TestUnmet: what a network names of the host and the host lacks is told, and an error of the
// host.
func TestUnmet(t *testing.T) {
	options, err := config.ParseNetwork(map[string]any{"com.docker.network.generic": map[string]any{
		"com.docker.network.host_ipv4": "192.0.2.7", "com.docker.network.bridge.trusted_host_interfaces": "wg0",
	}})
	if err != nil {
		t.Fatal(err)
	}
	s := model.NewState()
	s.Apply(model.Change{Network: model.NetworkChange{After: &model.Network{
		ID: "n", Bridge: "gw-n", Options: options, Subnet4: netip.MustParsePrefix("10.0.0.0/24"),
	}}})
	all := Of(s)
	for _, c := range []struct {
		host someHost
		want []string
	}{
		{someHost{}, []string{"the host has no address 192.0.2.7", "the host has no interface wg0"}},
		{someHost{has: map[string]bool{"wg0": true}}, []string{"the host has no address 192.0.2.7"}},
		{someHost{has: map[string]bool{"wg0": true, "192.0.2.7": true}}, nil},
		{someHost{err: errors.New("no answer")}, []string{"no answer"}},
	} {
		got := Unmet(t.Context(), c.host, all)
		if len(got) != len(c.want) {
			t.Errorf("%+v: %q, want %q", c.host, got, c.want)
			continue
		}
		for _, part := range c.want {
			if !strings.Contains(lines(got), part) {
				t.Errorf("%+v: %q, want %q", c.host, got, part)
			}
		}
	}
}

// TestOfSourcePorts: few ports are told of, and none.
func TestOfSourcePorts(t *testing.T) {
	got := Unmet(t.Context(), someHost{}, OfSourcePorts([]plan.SourcePorts{
		{Proto: spec.TCP, Span: spec.Span{First: 32768, Last: 65535}}, {Proto: spec.UDP, Span: spec.Span{First: 50000, Last: 50999}},
		{Proto: spec.SCTP, Span: spec.Span{First: 32768, Last: 65535}, None: true},
	}, "no answer"))
	if len(got) != 3 || !strings.Contains(got[0].What, "no answer") || !strings.Contains(got[1].What, "only 1000 udp") || !strings.Contains(got[2].What, "each sctp port") {
		t.Errorf("%q", got)
	}
}
