package nftables

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/conntrack"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/nstest"
)

// policyModel is a table beside what it should be.
type policyModel struct {
	table *PolicyTable
	all   []policy.Binding
	names modelNames
	rnd   *rand.Rand
	// kept counts what was learned and has outlasted a change.
	kept int
}

// TestPolicyModel: what the kernel passes is what the model says, for policies and packets at
// random, in both families; without policies all of it arrives. Policies come in the place of none,
// and in the place of others, which names were learned for; and a daemon finds what the one
// before has left.
func TestPolicyModel(t *testing.T) {
	nstest.Do(t, func() {
		sh(t, "%s", policyWorld)
		senders := map[string]farSender{"p-a": newFarSender(t, "p-a", "gw-a"), "p-b": newFarSender(t, "p-b", "gw-b"), "p-out": newFarSender(t, "p-out", "v-out")}
		flows, err := conntrack.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(flows.Close)
		var containers []netip.Addr
		for _, a := range append(slices.Clone(modelNear4), append(modelNear6, "10.2.0.4", "fd00:2::4")...) {
			containers = append(containers, netip.MustParseAddr(a))
		}
		m := policyModel{table: newPolicyTable(t, false), rnd: rand.New(rand.NewPCG(18, 1))}
		m.table.Serve(policy.Serving{Questions: 10053, Connections: 10117})
		refused, passed := 0, 0
		for round := range 24 {
			sh(t, "sysctl -qw net.bridge.bridge-nf-call-iptables=%d net.bridge.bridge-nf-call-ip6tables=%d", round%2, round%2)
			m.move(t, round)
			if err := flows.DropAddresses(t.Context(), containers); err != nil { // they would be answers
				t.Fatal(err)
			}
			sh(t, "nft flush set inet world arrived4; nft flush set inet world arrived6")
			used, base := modelUses{}, kernelUses(t, m.table)
			known := func(s sentPacket) []string { return m.names.known(m.all, s) }
			p, r := policyRound(t, m.all, policyRun{senders, known, m.rnd, 250 * (round % 80), used})
			used.compare(t, m.table, base)
			passed, refused = passed+p, refused+r
			if t.Failed() {
				for _, b := range m.all {
					t.Logf("round %d: %s: %+v", round, b, b.Texts)
				}
				return
			}
		}
		t.Logf("%d packets passed, %d were refused; %d addresses of names have outlasted changes", passed, refused, m.kept)
		if m.kept == 0 {
			t.Error("nothing that was learned has outlasted a change")
		}
	})
}

// move has other policies come, or another daemon.
func (m *policyModel) move(t *testing.T, round int) {
	t.Helper()
	switch {
	case round%8 == 7:
		m.table.Close()
		m.table = newPolicyTable(t, false)
		m.table.Serve(policy.Serving{Questions: 10053, Connections: 10117})
		if lines, err := m.table.Sync(t.Context(), m.all, false); err != nil || len(lines) > 0 {
			t.Errorf("what was left is repaired: %v (%v)", lines, err)
		}
	case round%2 == 1 && round > 1:
		before := m.all
		if m.all = turned(m.rnd, m.all); round%4 == 1 {
			m.all[0].Texts = randomPolicy(m.rnd)
		}
		if err := m.table.Apply(t.Context(), before, m.all, false); err != nil {
			t.Fatalf("%v: %v", m.all, err)
		}
		m.names.become(before, m.all)
		m.kept += len(m.names.all)
	default:
		if m.all, m.names = nil, (modelNames{}); round > 0 {
			m.all = modelPolicies(m.rnd)
		}
		if _, err := m.table.Sync(t.Context(), nil, false); err != nil { // what was learned ends with the policies
			t.Fatal(err)
		}
		if _, err := m.table.Sync(t.Context(), m.all, false); err != nil {
			t.Fatalf("%v: %v", m.all, err)
		}
		m.names.learnAtRandom(t, m.table, m.all, m.rnd)
	}
}

// policyRound sends packets at random, and compares what arrives with the model; first is the
// number of the first one.
func policyRound(t *testing.T, all []policy.Binding, run policyRun) (passed, refused int) {
	t.Helper()
	sent, asked := map[string][]sentPacket{}, map[string]bool{}
	for n := range 250 {
		s := randomPacket(run.rnd, n+run.first)
		s.Names = run.known(s)
		answers := s.Port == 0 && asked[fmt.Sprint(s.To, s.From)]
		if len(sent[s.key()]) == 0 && !answers { // else it could not be told from another one
			asked[fmt.Sprint(s.From, s.To)] = true
			sent[s.key()] = append(sent[s.key()], s)
			run.senders[s.link].send(t, s.bytes())
		}
	}
	arrived := map[string]bool{}
	text := sh(t, "nft -nn list set inet world arrived4; nft -nn list set inet world arrived6")
	for _, e := range strings.Split(strings.NewReplacer("{", ",", "}", ",", "elements =", ",").Replace(text), ",") {
		arrived[strings.TrimSpace(e)] = true
	}
	for key, list := range sent {
		s := list[0]
		want := passes(all, s)
		run.used.note(all, s)
		if want {
			passed++
		} else {
			refused++
		}
		if arrived[key] != want {
			t.Errorf("%s %+v arrives: %t, want %t", s.link, s.Packet, arrived[key], want)
		}
	}
	return passed, refused
}
