package fwtest

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The order in which chains, sets and tables were made must not show in a
// dump, the order of rules must.
func TestDumpIsCanonical(t *testing.T) {
	const first = `table inet gw {
	chain a {
		type filter hook forward priority 0; policy accept;
		iifname "x" drop
		iifname "y" drop
	}
	set s { type ipv4_addr; elements = { 10.0.0.1, 10.0.0.2 }; }
}`
	const second = `table inet gw {
	set s { type ipv4_addr; elements = { 10.0.0.2, 10.0.0.1 }; }
	chain a {
		type filter hook forward priority 0; policy accept;
		iifname "x" drop
		iifname "y" drop
	}
}`
	const other = `table inet gw {
	set s { type ipv4_addr; elements = { 10.0.0.2, 10.0.0.1 }; }
	chain a {
		type filter hook forward priority 0; policy accept;
		iifname "y" drop
		iifname "x" drop
	}
}`
	var dumps [][]string
	for _, script := range [...]string{first, second, other} {
		h := newNode(t, "host")
		h.mustCommand(t, script, "nft", "-f", "-")
		dumps = append(dumps, dump(t, h))
	}
	if diff := cmp.Diff(dumps[0], dumps[1]); diff != "" {
		t.Errorf("the same rules give two dumps (-first +second):\n%s", diff)
	}
	if slices.Equal(dumps[0], dumps[2]) {
		t.Errorf("another order of rules gives the same dump:\n%q", dumps[0])
	}
	if len(dumps[0]) < 6 {
		t.Errorf("dump is incomplete: %q", dumps[0])
	}
}

// What iptables leaves behind in the kernel is nobody's rule.
func TestDumpLeavesOutWhatIsEmpty(t *testing.T) {
	h := newNode(t, "host")
	for _, tool := range [...]string{"iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"} {
		for _, table := range [...]string{"filter", "nat", "raw", "mangle"} {
			h.mustCommand(t, "", tool, "--wait", "-t", table, "-A", "OUTPUT", "-j", "ACCEPT")
			h.mustCommand(t, "", tool, "--wait", "-t", table, "-F")
		}
	}
	if got := dump(t, h); len(got) != 0 {
		t.Errorf("dump = %q, want nothing", got)
	}
}

// Every way to break native rules must really change them: a backend that
// repairs nothing may not pass.
func TestDamageChangesTheDump(t *testing.T) {
	const script = `table inet gw {
	map m { type inet_service : ipv4_addr; elements = { 80 : 10.0.0.2 }; }
	chain a { type filter hook forward priority 0; policy accept; iifname "x" drop; iifname "y" drop; }
}`
	const rules = "*filter\n:OURS - [0:0]\n-A FORWARD -j OURS\n-A OURS -p tcp -j DROP\n-A OURS -p udp -j DROP\nCOMMIT\n"
	o := Options{IPTables: "iptables-nft"}
	h := newHost(t, o, bare)
	before, objects := dump(t, h), mustObjects(t, h)
	build := func(h *node) {
		h.mustCommand(t, script, "nft", "-f", "-")
		if err := restore(h, o, v4, rules); err != nil {
			t.Fatal(err)
		}
	}
	build(h)
	want := dump(t, h)
	damages := append(damagesIPTables(minus(want, before)), damagesNative(objects, mustObjects(t, h))...)
	if len(damages) != 19 {
		t.Errorf("found %d ways to break the rules, want 19", len(damages))
	}
	for _, d := range damages {
		broken := newHost(t, o, bare)
		build(broken)
		if err := d.do(broken); err != nil {
			t.Errorf("%s: %v", d.name, err)
		}
		if slices.Equal(dump(t, broken), want) {
			t.Errorf("%s: the dump does not show it", d.name)
		}
	}
}
