package iptables

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
)

// The hook to what decides stands before the engine's rules, the backend's as the
// ForwardHook's. In the cases it is called HOOK.
func TestHookPlace(t *testing.T) {
	set := firewall.Ruleset{Networks: rich().Networks}
	for name, of := range map[string]struct {
		hooks []hook
		rules rules
	}{
		"backend":      {hooks(false), compile(set, form{user: true})},
		"FORWARD hook": {forwardHooks(firewall.DefaultMark()), forwardHookRules(firewall.DefaultMark(), firewall.ForwardHook{Networks: true}, false, true)},
	} {
		i := slices.IndexFunc(of.hooks, func(h hook) bool { return h.at == filterForward })
		for _, tc := range hookPlaces {
			t.Run(name+"/"+tc.name, func(t *testing.T) {
				called := strings.NewReplacer("HOOK", of.hooks[i].rule)
				k := bare()
				if err := k.restore(converge(k.listFor(t, of.hooks), of.rules).String()); err != nil {
					t.Fatal(err)
				}
				k[filterForward], k[dockerUser] = strings.Split(called.Replace(tc.rules), "; "), tc.user
				s := converge(k.listFor(t, of.hooks), of.rules)
				if err := k.restore(s.String()); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
				want := tc.rules
				if tc.want != "" {
					want = tc.want
				}
				if d := cmp.Diff(strings.Split(called.Replace(want), "; "), k[filterForward]); d != "" {
					t.Error(d)
				}
				var wrong []string
				if tc.wrong != "" {
					wrong = []string{"filter FORWARD, jump to GANGWAY-FORWARD " + tc.wrong}
				}
				if d := cmp.Diff(wrong, s.repairs); d != "" {
					t.Error(d)
				}
				if again := converge(k.listFor(t, of.hooks), of.rules); again.String() != "" {
					t.Errorf("not done: %s", again)
				}
			})
		}
	}
}

const (
	behindEngine = "stood behind the engine's rules"
	behindUser   = "stood behind DOCKER-USER, which accepts, counts or logs"
)

// hookPlaces are rules of FORWARD and of DOCKER-USER, and where the hook comes to
// stand; "" if it stays.
var hookPlaces = []struct {
	name  string
	rules string
	user  []string
	want  string
	wrong string
}{
	{name: "alone", rules: "HOOK"},
	{name: "first", rules: "HOOK; -j DOCKER-USER; -j DOCKER-FORWARD"},
	{name: "users' rules first", rules: "-j LOG; HOOK; -j DOCKER-USER"},
	{name: "users' rules between", rules: "HOOK; -i eth0 -j LOG; -j DOCKER-USER; -j DOCKER-FORWARD"},
	{name: "missing, no engine", rules: "-i lan9 -j admin", want: "HOOK; -i lan9 -j admin", wrong: "was missing"},
	{name: "missing, what is left is dropped", rules: "-j DROP", want: "HOOK; -j DROP", wrong: "was missing"},
	{name: "missing, users' rules first", rules: "-j LOG; -j DOCKER-USER; -o docker0 -j DOCKER",
		want: "-j LOG; HOOK; -j DOCKER-USER; -o docker0 -j DOCKER", wrong: "was missing"},
	{name: "an engine's jump, nothing there", rules: "-j DOCKER-USER; HOOK; -j DOCKER-FORWARD"},
	{name: "an engine's jump, nobody accepted", rules: "-j DOCKER-USER; HOOK; -j DOCKER-FORWARD",
		user: []string{"-s 192.0.2.1/32 -j DROP", "-s 192.0.2.2/32 -j REJECT --reject-with icmp-port-unreachable", "-j RETURN"}},
	{name: "an engine's jump, somebody accepted", rules: "-j DOCKER-USER; HOOK; -j DOCKER-FORWARD",
		user: []string{"-s 192.0.2.1/32 -j ACCEPT", "-j RETURN"},
		want: "HOOK; -j DOCKER-USER; -j DOCKER-FORWARD", wrong: behindUser},
	{name: "an engine's jump, somebody led on", rules: "-j DOCKER-USER; HOOK", user: []string{"-j admin"},
		want: "HOOK; -j DOCKER-USER", wrong: behindUser},
	{name: "an engine's jump, log", rules: "-j DOCKER-USER; HOOK", user: []string{"-j LOG"},
		want: "HOOK; -j DOCKER-USER", wrong: behindUser},
	{name: "an engine's jump, a limit", rules: "-j DOCKER-USER; HOOK",
		user: []string{"-p icmp -m limit --limit 5/sec -j RETURN", "-p icmp -j DROP"},
		want: "HOOK; -j DOCKER-USER", wrong: behindUser},
	{name: "a restarted engine 20.10", rules: "-j DOCKER-USER; -j DOCKER-ISOLATION-STAGE-1; -o docker0 -j DOCKER; -i docker0 ! -o docker0 -j ACCEPT; HOOK",
		want: "HOOK; -j DOCKER-USER; -j DOCKER-ISOLATION-STAGE-1; -o docker0 -j DOCKER; -i docker0 ! -o docker0 -j ACCEPT", wrong: behindEngine},
	{name: "a restarted engine 28.5", rules: "-j DOCKER-USER; -j DOCKER-FORWARD; HOOK",
		want: "HOOK; -j DOCKER-USER; -j DOCKER-FORWARD", wrong: behindEngine},
	{name: "behind a network of the engine", rules: "-i br-0123456789ab -j ACCEPT; HOOK",
		want: "HOOK; -i br-0123456789ab -j ACCEPT", wrong: behindEngine},
	{name: "behind a user's rule that accepts", rules: "-i wg0 -j ACCEPT; HOOK; -j DOCKER-USER",
		want: "HOOK; -i wg0 -j ACCEPT; -j DOCKER-USER", wrong: "stood behind rules that may accept"},
	{name: "behind a user's chain", rules: "-j LOG; -i lan9 -j admin; HOOK; -j DOCKER-USER",
		want: "HOOK; -j LOG; -i lan9 -j admin; -j DOCKER-USER", wrong: "stood behind rules that may accept"},
	{name: "behind users' rules that refuse", rules: "-s 192.0.2.1/32 -j DROP; HOOK; -j DOCKER-USER"},
	{name: "behind an engine's rule that refuses", rules: "-i docker0 -j DROP; HOOK", want: "HOOK; -i docker0 -j DROP", wrong: behindEngine},
	{name: "twice", rules: "HOOK; HOOK; -j DOCKER-FORWARD", want: "HOOK; -j DOCKER-FORWARD", wrong: "stood there twice"},
}

// Where firewalld's chains stand they end the way of every packet, so the hooks
// of the other tables come before them, and behind the administrator's own.
func TestHookBeforeFirewalld(t *testing.T) {
	own := "-j " + snatChain.name
	at := chain{"nat", "POSTROUTING"}
	theirs := []string{"-j POSTROUTING_direct", "-j POSTROUTING_dispatch"}
	for _, tc := range []struct {
		name  string
		rules []string
		want  int
		wrong string
	}{
		{"new", theirs, 1, "was missing"},
		{"in place", slices.Insert(slices.Clone(theirs), 1, own), 1, ""},
		{"a firewalld that came later", append(slices.Clone(theirs), own), 1, "stood behind firewalld's rules, which accept"},
		{"no firewalld", []string{"-j LOG", own}, 1, ""},
		{"a firewalld whose chains come back", []string{"-j POSTROUTING_ZONES", own}, 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := bare()
			set := firewall.Ruleset{Networks: rich().Networks}
			if err := k.restore(converge(k.list(t, false), compile(set, form{user: true})).String()); err != nil {
				t.Fatal(err)
			}
			k[at] = slices.Clone(tc.rules)
			s := converge(k.list(t, false), compile(set, form{user: true}))
			if err := k.restore(s.String()); err != nil {
				t.Fatal(err)
			}
			if got := slices.Index(k[at], own); got != tc.want {
				t.Errorf("the hook is at %d of %q, want %d", got, k[at], tc.want)
			}
			var want []string
			if tc.wrong != "" {
				want = []string{"nat POSTROUTING, jump to GANGWAY-SNAT " + tc.wrong}
			}
			if d := cmp.Diff(want, s.repairs); d != "" {
				t.Error(d)
			}
			if again := converge(k.list(t, false), compile(set, form{user: true})); again.String() != "" {
				t.Errorf("not done: %s", again)
			}
		})
	}
}
