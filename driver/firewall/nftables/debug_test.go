package nftables

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// script keeps the text of debugging messages as it is.
type script struct{ bytes.Buffer }

func (*script) Levels() []logrus.Level { return logrus.AllLevels }

func (s *script) Fire(e *logrus.Entry) error {
	if text, ok := strings.CutPrefix(e.Message, "nft -f -\n"); ok {
		s.WriteString(text)
	}
	return nil
}

// TestDebug: with debugging the log has every change of the table, as commands that nft
// takes and that do the same.
func TestDebug(t *testing.T) {
	nstest.Do(t, func() {
		log, said := quiet(), &script{}
		log.Logger.AddHook(said)
		log.Logger.SetLevel(logrus.DebugLevel)
		b := startWith(t, Options{Log: log, Shared: true, NoFailClosed: true})
		listing := func() []string { return unordered(inOneForm(sh(t, "nft -s list ruleset"))) }
		replay := func() {
			t.Helper()
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, said.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			sh(t, "nft -f %s", file)
			said.Reset()
		}
		same := func(what string, want []string) {
			t.Helper()
			if d := cmp.Diff(want, listing()); d != "" {
				t.Errorf("%s: nft and the log differ (-was +is):\n%s", what, d)
			}
		}
		add(t, b, one())
		if got := said.String(); !strings.HasPrefix(got, "add table inet gangway\n") {
			t.Errorf("the table is made: %q", got)
		}
		said.Reset()
		without := listing()
		add(t, b, join(rich(), everySet()))
		with, added := listing(), said.String()
		said.Reset()
		apply(t, b, firewall.Delta{Remove: join(rich(), everySet())})
		same("removed", without)
		removed := said.String()
		for _, s := range sets(table(tableName)) {
			if want := "add element inet gangway " + s.Name + " {"; s.kind != counting && !strings.Contains(added, want) {
				t.Errorf("no element of %s is added", s.Name)
			}
		}
		said.Reset()
		said.WriteString(added)
		replay()
		same("added as the log says", with)
		said.WriteString(removed)
		replay()
		same("removed as the log says", without)
		apply(t, b, firewall.Delta{Remove: one()})
		if got := said.String(); got != "delete table inet gangway\n" {
			t.Errorf("the table is removed: %q", got)
		}
		quietly := start(t)
		said.Reset()
		add(t, quietly, one())
		if said.Len() != 0 {
			t.Errorf("without debugging: %q", said.String())
		}
	})
}

// TestDebugAround: what is beside the table is in the log as well.
func TestDebugAround(t *testing.T) {
	testkit.NeedKernel(t, 5, 12)
	nstest.Do(t, func() {
		log, said := quiet(), &script{}
		log.Logger.AddHook(said)
		log.Logger.SetLevel(logrus.DebugLevel)
		told := func(want string) {
			t.Helper()
			if d := cmp.Diff(want, said.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			said.Reset()
		}
		v, err := NewFailClosed(t.Context(), log, firewall.DefaultMark())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		failClose(t, v, some)
		told(`add table inet gangway-fail-closed
add element inet gangway-fail-closed bridges { "gw-aaaaaaaaaaaa" }
add element inet gangway-fail-closed bridges { "mine" }
`)
		failClose(t, v, []string{"gw-b", "mine"})
		told(`delete element inet gangway-fail-closed bridges { "gw-aaaaaaaaaaaa" }
add element inet gangway-fail-closed bridges { "gw-b" }
`)
		failClose(t, v, nil)
		told("delete table inet gangway-fail-closed\n")
		p := NewNeighbourLimit(log)
		t.Cleanup(p.Close)
		limit(t, p, firewall.Families{V4: true})
		told("add table arp gangway-neighbour-limit\n")
		limit(t, p, firewall.Families{})
		told("delete table arp gangway-neighbour-limit\n")
	})
}

// unordered is a listing whose elements have an order: nft shows them as they come.
func unordered(listing string) []string {
	var all []string
	block := ""
	for line := range strings.Lines(listing) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutSuffix(line, " {"); ok {
			block = name
		}
		for word := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(line, "elements = { "), " }"), ",") {
			all = append(all, block+": "+strings.TrimSpace(word))
		}
	}
	slices.Sort(all)
	return all
}

// everySet is a ruleset with an element for each set.
func everySet() firewall.Ruleset {
	subnets := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64")}
	both := firewall.Families{V4: true, V6: true}
	r := firewall.Ruleset{Networks: []firewall.Network{{
		ID: "probe", Bridge: "gw-probe", Masquerade: subnets, Hairpin: subnets,
		Subnets: subnets, Unprotected: both, Routed: both, Internal: true, ICC: true,
	}}, Outside: []spec.Outside{{Name: "gw-uplink", Bridge: true}}, NoTransit: both}
	other := netip.MustParsePrefix("198.51.100.0/24")
	r.Networks = append(r.Networks, firewall.Network{
		ID: "source", Bridge: "gw-source", Masquerade: []netip.Prefix{other}, Source: []netip.Addr{other.Addr()},
	})
	for _, subnet := range subnets {
		r.Direct = append(r.Direct, firewall.Direct{NetworkID: "probe", EndpointID: "probe", Clients: subnet, Addr: subnet.Addr()})
		anyHost := netip.IPv4Unspecified()
		if subnet.Addr().Is6() {
			anyHost = netip.IPv6Unspecified()
		}
		for _, from := range []string{"", "gw-from"} {
			for _, length := range []uint16{1, longRun} {
				r.Open = append(r.Open, firewall.Open{NetworkID: "probe", EndpointID: "probe", Bridge: "gw-probe", From: from,
					Proto: spec.TCP, Addr: subnet.Addr(), First: length, Last: length * 2})
			}
		}
		for _, length := range []uint16{1, longRun} {
			r.PreservedPorts = append(r.PreservedPorts, firewall.PreservedPorts{NetworkID: "probe", EndpointID: "probe", Addr: subnet.Addr(), First: length, Last: length * 2})
		}
		for _, host := range []netip.Addr{anyHost, subnet.Addr()} {
			for _, p := range protocols() {
				for _, last := range []uint16{1, 1 + longRun} {
					r.Ports = append(r.Ports, firewall.Port{NetworkID: "probe", EndpointID: "probe", Published: spec.Published{
						Proto: p, HostIP: host, First: last, Last: last * 2, ContainerIP: subnet.Addr().Next(), ContainerFirst: last,
					}})
				}
			}
		}
	}
	return r
}
