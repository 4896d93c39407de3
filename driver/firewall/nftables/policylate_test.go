package nftables

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/integration/nstest"
)

// TestLateAnswer: an answer that was judged by a policy which has become another meanwhile opens
// nothing, whether it is a container's or for all who had the policy.
func TestLateAnswer(t *testing.T) {
	nstest.Do(t, func() {
		p := newPolicyTable(t, true)
		agents := config.Policy{Egress: "deny", Allow: "a.example:443/tcp,b.example:443/tcp"}
		fewer := config.Policy{Egress: "deny", Allow: "b.example:443/tcp"}
		of := func(texts config.Policy) []policy.Binding {
			return []policy.Binding{{NetworkID: id("a"), Bridge: "gw-a", Subnets: prefixes("10.1.0.0/24"), Texts: texts}}
		}
		if _, err := p.Sync(t.Context(), of(agents), false); err != nil {
			t.Fatal(err)
		}
		learn := func(by config.Policy, who policy.Who) (told string, known bool) {
			to := netip.MustParseAddr("203.0.113.9")
			err := p.Learn(t.Context(), []policy.Learned{{
				Who: who, By: by, Name: "a.example", To: to, Ports: config.Ports{Proto: 6, First: 443, Last: 443}, Until: time.Now().Add(time.Hour),
			}})
			if err != nil {
				told = err.Error()
			}
			return told, p.Knows(who, to, "a.example") || strings.Contains(sh(t, "nft list table inet gangway-policy"), "203.0.113.9")
		}
		container, all := policy.Who{Addr: netip.MustParseAddr("10.1.0.2")}, policy.Who{Policy: agents}
		if err := p.Apply(t.Context(), of(agents), of(fewer), false); err != nil {
			t.Fatal(err)
		}
		if told, known := learn(agents, container); !strings.Contains(told, "changed") || known {
			t.Errorf("a container's: %q, known %t", told, known)
		}
		if told, known := learn(agents, all); told != "" || known {
			t.Errorf("of all: %q, known %t", told, known)
		}
		if told, known := learn(agents, policy.Who{Addr: netip.MustParseAddr("10.9.0.2")}); told == "" || known {
			t.Errorf("of nobody: %q, known %t", told, known)
		}
		if err := p.Apply(t.Context(), of(fewer), of(agents), false); err != nil {
			t.Fatal(err)
		}
		for _, who := range []policy.Who{container, all} {
			if told, known := learn(agents, who); told != "" || !known {
				t.Errorf("by the policy that counts: %q, known %t", told, known)
			}
		}
	})
}
