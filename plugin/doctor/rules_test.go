package doctor

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// packet is one for host port 8000 and 10.80.0.2:80 behind bridge gw-a.
func packet() Packet {
	return Packet{Protocol: "tcp", To: netip.MustParseAddrPort("10.80.0.2:80"), HostPort: 8000, Out: "gw-a", Port: "gv-1", Hooks: hooksOf(forwarded)}
}

// drops lists what drops the packet, as "rule" or "maybe rule".
func drops(bases []Base, p Packet) (all []string) {
	for _, b := range bases {
		for _, d := range b.Drops(p) {
			line := d.Where
			if d.Does == "divert" {
				line = "to elsewhere by " + line
			}
			if !d.Sure {
				line = "maybe " + line
			}
			all = append(all, line)
		}
	}
	return all
}

func TestIptablesDrops(t *testing.T) {
	for name, c := range map[string]struct {
		policy string
		rules  []string
		want   []string
	}{
		"nothing":            {"ACCEPT", nil, nil},
		"a policy":           {"DROP", nil, []string{"iptables filter FORWARD, whose policy is drop,"}},
		"the hook":           {"DROP", []string{"-A FORWARD -m mark ! --mark 0x0/0xc000000 -j GANGWAY-FORWARD", "-A FORWARD -j DROP"}, nil},
		"DOCKER-USER":        {"DROP", []string{"-A FORWARD -j GANGWAY-FORWARD", "-A DOCKER-USER -p tcp -m tcp --dport 80 -j DROP"}, []string{"iptables filter DOCKER-USER rule 1"}},
		"another port":       {"ACCEPT", []string{"-A FORWARD -j GANGWAY-FORWARD", "-A DOCKER-USER -p tcp -m tcp --dport 81 -j DROP", "-A DOCKER-USER -p udp -j DROP"}, nil},
		"its return":         {"ACCEPT", []string{"-A FORWARD -j DOCKER-USER", "-A DOCKER-USER -j RETURN", "-A DOCKER-USER -j DROP"}, nil},
		"before the hook":    {"ACCEPT", []string{"-A FORWARD -i eth0 -j REJECT --reject-with icmp-port-unreachable", "-A FORWARD -j GANGWAY-FORWARD"}, []string{"maybe iptables filter FORWARD rule 1"}},
		"all links but one":  {"ACCEPT", []string{"-A FORWARD ! -i gw-a -o gw-+ -j DROP"}, []string{"iptables filter FORWARD rule 1"}},
		"what leaves":        {"ACCEPT", []string{"-A FORWARD -i gw-a -j DROP", "-A FORWARD -o br0 -j DROP"}, nil},
		"an accepted client": {"DROP", []string{"-A FORWARD -s 192.0.2.0/24 -j ACCEPT", "-A FORWARD -d 10.80.0.0/24 -j DROP"}, []string{"maybe iptables filter FORWARD rule 2"}},
		"established":        {"ACCEPT", []string{"-A FORWARD -m conntrack --ctstate INVALID -j DROP", "-A FORWARD -m conntrack --ctstate NEW -m comment --comment \"it's -j ACCEPT\" -j DROP"}, []string{"iptables filter FORWARD rule 2"}},
		"by the host's port": {"ACCEPT", []string{"-A FORWARD -p tcp -m conntrack --ctorigdstport 8000 --ctdir ORIGINAL -j DROP"}, []string{"maybe iptables filter FORWARD rule 1"}},
		"a list of ports":    {"ACCEPT", []string{"-A FORWARD -p tcp -m multiport --dports 22,79:81 -j DROP"}, []string{"iptables filter FORWARD rule 1"}},
		"a set":              {"ACCEPT", []string{"-A FORWARD -m set --match-set bad src -j DROP"}, []string{"maybe iptables filter FORWARD rule 1"}},
		"a chain":            {"ACCEPT", []string{"-A FORWARD -j OTHER", "-A OTHER -d 10.80.0.2/32 -g LAST", "-A LAST -j DROP"}, []string{"iptables filter LAST rule 1"}},
		"a circle":           {"ACCEPT", []string{"-A FORWARD -j OTHER", "-A OTHER -j OTHER"}, nil},
		"a dropped answer":   {"ACCEPT", []string{"-A INPUT -p tcp --dport 8000 -j DROP", "-A OUTPUT -j DROP"}, nil},
		"elsewhere":          {"ACCEPT", []string{"-A PREROUTING -p tcp -m tcp --dport 8000 -j DNAT --to-destination 10.9.9.9:80"}, []string{"to elsewhere by iptables filter PREROUTING rule 1"}},
		"elsewhere, behind":  {"ACCEPT", []string{"-A PREROUTING -m addrtype --dst-type LOCAL -j GANGWAY-DNAT", "-A PREROUTING -p tcp -m tcp --dport 8000 -j REDIRECT --to-ports 80"}, nil},
		"before translation": {"ACCEPT", []string{"-A PREROUTING -p tcp -m tcp --dport 8000 -j DROP", "-A PREROUTING -p tcp -m tcp --dport 80 -j DROP"}, []string{"iptables filter PREROUTING rule 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := "# Generated\n*filter\n:FORWARD " + c.policy + " [0:0]\n:PREROUTING ACCEPT [0:0]\n:INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:DOCKER-USER - [0:0]\n" +
				strings.Join(c.rules, "\n") + "\nCOMMIT\n"
			if got := drops(parseSave("iptables", text, false), packet()); !reflect.DeepEqual(got, c.want) {
				t.Errorf("dropped by %q, want %q", got, c.want)
			}
			six := packet()
			six.To = netip.MustParseAddrPort("[fd00::2]:80")
			if got := drops(parseSave("iptables", text, false), six); len(got) > 0 {
				t.Errorf("iptables drop IPv6: %q", got)
			}
		})
	}
}

// ruleset is an administrator's, as nft 1.0 prints it.
const ruleset = `{"nftables": [{"metainfo": {"version": "1.0.6"}},
{"table": {"family": "inet", "name": "filter", "handle": 1}},
{"chain": {"family": "inet", "table": "filter", "name": "forward", "handle": 1, "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
{"rule": {"family": "inet", "table": "filter", "chain": "forward", "handle": 2, "expr": [{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null}]}},
{"rule": {"family": "inet", "table": "filter", "chain": "forward", "handle": 3, "expr": RULE}},
{"table": {"family": "ip", "name": "nat", "handle": 2}},
{"chain": {"family": "ip", "table": "nat", "name": "FORWARD", "handle": 1, "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
{"table": {"family": "inet", "name": "gangway", "handle": 3}},
{"chain": {"family": "inet", "table": "gangway", "name": "forward", "handle": 1, "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
{"chain": {"family": "inet", "table": "filter", "name": "sub", "handle": 9}},
{"rule": {"family": "inet", "table": "filter", "chain": "sub", "handle": 10, "expr": [{"drop": null}]}}
]}`

func TestNftDrops(t *testing.T) {
	const policy = "table inet filter chain forward, whose policy is drop,"
	match := func(left, op, right string) string {
		return `{"match": {"op": "` + op + `", "left": ` + left + `, "right": ` + right + `}}`
	}
	rule := func(parts ...string) string { return "[" + strings.Join(parts, ", ") + "]" }
	const accept, drop, counter = `{"accept": null}`, `{"drop": null}`, `{"counter": {"packets": 1, "bytes": 2}}`
	dport := `{"payload": {"protocol": "tcp", "field": "dport"}}`
	for name, c := range map[string]struct {
		rule string
		want []string
	}{
		"the policy":       {rule(match(dport, "==", "22"), accept), []string{policy}},
		"an accepted port": {rule(match(dport, "==", `{"set": [22, {"range": [79, 81]}]}`), counter, accept), nil},
		"a dropped port":   {rule(match(dport, "!=", "22"), counter, drop), []string{"table inet filter chain forward rule 2 (handle 3)"}},
		"a link":           {rule(match(`{"meta": {"key": "oifname"}}`, "==", `"gw-*"`), accept), nil},
		"translated":       {rule(match(`{"ct": {"key": "status"}}`, "in", `"dnat"`), accept), nil},
		"a named set":      {rule(match(`{"payload": {"protocol": "ip", "field": "saddr"}}`, "==", `"@bad"`), drop), []string{"maybe table inet filter chain forward rule 2 (handle 3)", policy}},
		"an address":       {rule(match(`{"payload": {"protocol": "ip", "field": "daddr"}}`, "==", `{"prefix": {"addr": "10.80.0.0", "len": 16}}`), accept), nil},
		"a chain":          {rule(`{"jump": {"target": "sub"}}`), []string{"table inet filter chain sub rule 1 (handle 10)"}},
		"a map":            {rule(`{"vmap": {"key": {"meta": {"key": "iifname"}}, "data": "@ways"}}`), []string{policy}},
	} {
		t.Run(name, func(t *testing.T) {
			bases, err := parseNft([]byte(strings.Replace(ruleset, "RULE", c.rule, 1)), map[string]bool{"ip nat": true})
			if err != nil {
				t.Fatal(err)
			}
			if got := drops(bases, packet()); !reflect.DeepEqual(got, c.want) {
				t.Errorf("dropped by %q, want %q", got, c.want)
			}
		})
	}
	for prio, want := range map[string]int{"-150": 1, "-100": 1, "-99": 0, "0": 0} {
		text := strings.NewReplacer(`"hook": "forward", "prio": 0, "policy": "drop"`, `"hook": "prerouting", "prio": `+prio, "RULE", rule(match(dport, "==", "8000"), drop)).Replace(ruleset)
		bases, err := parseNft([]byte(text), map[string]bool{"ip nat": true})
		if got := drops(bases, packet()); err != nil || len(got) != want {
			t.Errorf("prerouting at %s drops by the host's port: %q, %v, want %d", prio, got, err, want)
		}
	}
	if _, err := parseNft([]byte("no"), nil); err == nil {
		t.Error("no JSON is no error")
	}
}

func FuzzRules(f *testing.F) {
	f.Add("*filter\n:FORWARD DROP [0:0]\n-A FORWARD ! -s 10.0.0.0/8 -p tcp --dport 1:2 -j X\n-A X -j DROP\nCOMMIT\n")
	f.Add(strings.Replace(ruleset, "RULE", "[]", 1))
	f.Fuzz(func(_ *testing.T, text string) {
		drops(parseSave("iptables", text, false), packet())
		if bases, err := parseNft([]byte(text), nil); err == nil {
			drops(bases, packet())
		}
	})
}
