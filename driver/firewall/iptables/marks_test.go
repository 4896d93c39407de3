package iptables

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
)

// TestMarkUsers: rules that use single bits of the mark are found by these, whatever they
// do with them; rules about the whole mark, and gangway's own, are none of them.
func TestMarkUsers(t *testing.T) {
	const dump = `*mangle
:PREROUTING ACCEPT [0:0]
-A PREROUTING -m mark --mark 0x4000000/0x4000000 -j ACCEPT
-A PREROUTING -j MARK --set-xmark 0x10000/0xf0000
-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff000000 --ctmask 0xff000000
-A OUTPUT -j MARK --set-xmark 0x1/0xffffffff
-A OUTPUT -m mark --mark 0x8000001 -j DROP
COMMIT
*filter
:GANGWAY-VERDICT - [0:0]
-A FORWARD -m mark ! --mark 0x0/0xc000000 -j GANGWAY-FORWARD
-A GANGWAY-VERDICT -m mark --mark 0x4000000/0xc000000 -j ACCEPT
-A FORWARD -m mark --mark 0x0/0xff00000 -j ACCEPT
COMMIT
`
	for mark, want := range map[firewall.Mark][]string{
		firewall.DefaultMark(): {
			"mangle: -A PREROUTING -m mark --mark 0x4000000/0x4000000 -j ACCEPT",
			"mangle: -A PREROUTING -j CONNMARK --restore-mark --nfmask 0xff000000 --ctmask 0xff000000",
			"mangle: -A OUTPUT -m mark --mark 0x8000001 -j DROP",
			"filter: -A FORWARD -m mark --mark 0x0/0xff00000 -j ACCEPT",
		},
		{Accept: 0x10000, Drop: 0x100}: {"mangle: -A PREROUTING -j MARK --set-xmark 0x10000/0xf0000"},
		{Accept: 0x200, Drop: 0x100}:   nil,
	} {
		if d := cmp.Diff(want, markUsers([]byte(dump), mark)); d != "" {
			t.Errorf("%+v (-want +got):\n%s", mark, d)
		}
	}
	if got := markUsers([]byte("*raw\n"+strings.Repeat("x", 100)), firewall.DefaultMark()); got != nil {
		t.Errorf("found %q", got)
	}
}
