package driver

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/needs"
	"github.com/gangway-net/gangway/driver/spec"
)

func (f *fakeHost) RoutingRules(_ context.Context, six bool) ([]spec.RoutingRule, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return append(slices.Clone(f.routing[six]), spec.RoutingRule{Priority: 32766, Table: spec.TableMain}), nil
}

// ExitOf goes by the rules: the main table leads to bridges by their addresses, others
// everywhere by one link.
func (f *fakeHost) ExitOf(ctx context.Context, p spec.Passage) (spec.Exit, bool, error) {
	rules, err := f.RoutingRules(ctx, p.To.Is6())
	if err != nil {
		return spec.Exit{}, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paths++
	for _, r := range rules {
		switch out, leads := f.outs[r.Table]; {
		case !r.Matches(p):
		case r.Refuses:
			return spec.Exit{}, true, nil
		case leads:
			return spec.Exit{Link: out, Table: r.Table}, true, nil
		case r.Table == spec.TableMain:
			for name, b := range f.bridges {
				for _, a := range b.Addresses {
					if a.Contains(p.To) {
						return spec.Exit{Link: name, Table: r.Table}, true, nil
					}
				}
			}
		}
	}
	return spec.Exit{}, true, nil
}

// lookup makes a rule.
func lookup(priority, table uint32, from, to string) spec.RoutingRule {
	r := spec.RoutingRule{Priority: priority, Table: table}
	if from != "" {
		r.From = netip.MustParsePrefix(from)
	}
	if to != "" {
		r.To = netip.MustParsePrefix(to)
	}
	return r
}

// neighbours are two networks with a container each; that of the first one publishes a
// port.
func neighbours(t *testing.T) (*fakeHost, *Driver) {
	t.Helper()
	f := newFakeHost()
	f.outs = map[uint32]string{100: "tun0"}
	d := newTestDriver(t, f, "boot")
	for _, n := range []struct{ net, ep, at, six, box string }{{netA, ep1, "10.0.0.", "fd00:a::", "/netns/1"}, {netB, ep2, "10.0.1.", "fd00:b::", "/netns/2"}} {
		r := networkRequest(n.net, n.at+"0/24", n.at+"1")
		r.IPv6 = pool(n.six+"/64", n.six+"1")
		r.Options = map[string]any{"com.docker.network.enable_ipv6": true}
		e := endpointRequest(n.net, n.ep, n.at+"2/24")
		e.IPv6 = netip.MustParsePrefix(n.six + "2/64")
		must(t, d.CreateNetwork(t.Context(), r), endpointErr(d.CreateEndpoint(t.Context(), e)), joinErr(d.Join(t.Context(), n.net, n.ep, n.box, nil)))
	}
	must(t, d.Publish(t.Context(), netA, ep1, portmap(8080, 80)))
	return f, d
}

// TestDiverted: a rule that sends what comes from one network elsewhere is told of as
// long as others lose published ports by it, with the rule that keeps them.
func TestDiverted(t *testing.T) {
	const lost, ports = "containers of network bbbbbbbbbbbb (bridge gw-bbbbbbbbbbbb) do not reach the published ports of network aaaaaaaaaaaa (bridge gw-aaaaaaaaaaaa)", `rule of policy routing "32765: `
	to := func(six bool, priority int) string {
		if six {
			return fmt.Sprintf("run: ip -6 rule add to fd00:a::/64 lookup main suppress_prefixlength 0 priority %d", priority)
		}
		return fmt.Sprintf("run: ip rule add to 10.0.0.0/24 lookup main suppress_prefixlength 0 priority %d", priority)
	}
	b, a := lookup(32765, 100, "10.0.1.0/24", ""), lookup(32765, 100, "10.0.0.0/24", "")
	for _, tt := range []struct {
		name  string
		rules []spec.RoutingRule
		six   bool
		want  []string
	}{
		{"no rule", nil, false, nil},
		{"the client's network", []spec.RoutingRule{b}, false, []string{lost + ": the " + ports + `from 10.0.1.0/24 lookup 100" leads out by tun0; to keep them on the host, ` + to(false, 32764)}},
		{"that of IPv6", []spec.RoutingRule{lookup(32765, 100, "fd00:b::/64", "")}, true, []string{to(true, 32764)}},
		{"one container", []spec.RoutingRule{lookup(200, 100, "10.0.1.2/32", "")}, false, []string{to(false, 199)}},
		{"by its bridge", []spec.RoutingRule{{Priority: 200, By: "gw-bbbbbbbbbbbb", Table: 100}}, false, []string{to(false, 199)}},
		{"all but others", []spec.RoutingRule{{Priority: 200, From: netip.MustParsePrefix("10.7.0.0/16"), Not: true, Table: 100}}, false,
			[]string{to(false, 199), "run: ip rule add to 10.0.1.0/24 lookup main suppress_prefixlength 0 priority 199"}},
		{"a table without a way comes first", []spec.RoutingRule{lookup(100, 52, "", ""), b}, false, []string{ports}},
		{"the server's network", []spec.RoutingRule{a}, false,
			[]string{"containers of network bbbbbbbbbbbb (bridge gw-bbbbbbbbbbbb) get no answers from the published ports of network aaaaaaaaaaaa (bridge gw-aaaaaaaaaaaa)"}},
		{"another address", []spec.RoutingRule{lookup(32765, 100, "10.0.1.9/32", "")}, false, nil},
		{"another bridge", []spec.RoutingRule{{Priority: 200, By: "gw-x", Table: 100}}, false, nil},
		{"kept", []spec.RoutingRule{lookup(32764, spec.TableMain, "", "10.0.0.0/24"), b}, false, nil},
		{"kept, but too late", []spec.RoutingRule{b, lookup(32765, spec.TableMain, "", "10.0.0.0/24")}, false, []string{ports}},
		{"a table without a way", []spec.RoutingRule{lookup(32765, 101, "10.0.1.0/24", "")}, false, nil},
		{"refused on purpose", []spec.RoutingRule{{Priority: 100, From: b.From, Refuses: true}}, false, nil},
		{"refused behind a table without a way", []spec.RoutingRule{lookup(50, 52, "", ""), {Priority: 100, From: b.From, Refuses: true}}, false, nil},
		{"no room before it", []spec.RoutingRule{lookup(0, 100, "10.0.1.0/24", "")}, false, []string{"give that rule a larger priority"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, d := neighbours(t)
			f.routing = map[bool][]spec.RoutingRule{tt.six: tt.rules}
			wantLines(t, "status", degraded(d.Status(t.Context())), tt.want...)
		})
	}
}

// TestDivertedNothing: where there is nothing to lose, nothing is told.
func TestDivertedNothing(t *testing.T) {
	vpn := map[bool][]spec.RoutingRule{false: {lookup(32765, 100, "10.0.1.0/24", "")}}
	f, d := neighbours(t)
	f.routing = vpn
	wantLines(t, "a port is published", degraded(d.Status(t.Context())), "10.0.0.0/24")
	f.failAt = f.ops + 1
	wantLines(t, "nobody knows", degraded(d.Status(t.Context())), errInjected.Error())
	f.failAt = f.ops + 2
	wantLines(t, "the way is not told", degraded(d.Status(t.Context())), errInjected.Error())
	must(t, d.Unpublish(t.Context(), netA, ep1))
	wantLines(t, "no port is published", degraded(d.Status(t.Context())))
	must(t, d.Publish(t.Context(), netA, ep1, portmapOn(6, "127.0.0.1", 8080, 80)))
	wantLines(t, "for the host alone", degraded(d.Status(t.Context())))
	must(t, d.Publish(t.Context(), netA, ep1, portmap(8080, 80)))
	must(t, d.Leave(t.Context(), netB, ep2))
	wantLines(t, "nobody asks", degraded(d.Status(t.Context())))
}

// TestDivertedQuestions: without foreign rules the kernel is asked for the rules alone,
// with one for few networks about each network once, and with many never about each pair.
func TestDivertedQuestions(t *testing.T) {
	const networks = 60
	f := newFakeHost()
	f.outs = map[uint32]string{100: "tun0"}
	d := newTestDriver(t, f, "boot")
	subnet := func(i int) string { return fmt.Sprintf("10.%d.0.0/24", i+1) }
	for i := range networks {
		n, e := fmt.Sprintf("%012d%052d", i, 0), fmt.Sprintf("%012d%052d", i+networks, 0)
		must(t, d.CreateNetwork(t.Context(), networkRequest(n, subnet(i), fmt.Sprintf("10.%d.0.1", i+1))),
			endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(n, e, fmt.Sprintf("10.%d.0.2/24", i+1)))), joinErr(d.Join(t.Context(), n, e, fmt.Sprint("/netns/", i), nil)))
		must(t, d.Publish(t.Context(), n, e, portmap(float64(8000+i), 80)))
	}
	ask := func(name string, most, lines int, rules ...spec.RoutingRule) {
		t.Helper()
		f.routing = map[bool][]spec.RoutingRule{false: rules}
		f.paths = 0
		got := needs.Diverted(t.Context(), f, d.desired.Read)
		if f.paths > most || len(got) != lines {
			t.Errorf("%s: %d questions and %d lines, want at most %d and %d", name, f.paths, len(got), most, lines)
		}
	}
	ask("no rule", 0, 0)
	ask("one that leads nowhere", 2*networks, 0, lookup(100, 52, "", ""))
	ask("one for a network", networks, 9, lookup(100, 100, subnet(3), ""))
	var each, kept []spec.RoutingRule
	for i := range networks {
		each = append(each, lookup(200, 52, subnet(i), ""))
		kept = append(kept, lookup(100, spec.TableMain, "", subnet(i)))
	}
	ask("one for each", 2048, 0, each...)
	ask("one for each, and what keeps it", 0, 0, append(kept, each...)...)
}
