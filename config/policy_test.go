package config

import (
	"net/netip"
	"strings"
	"testing"
)

// TestPolicyEntries: each way to write an entry has one form; what can never match, is
// written wrong, or is a name, is refused with what to do.
func TestPolicyEntries(t *testing.T) {
	type table map[string]string
	for option, c := range map[string]struct {
		parse    func(string) (string, error)
		good, no table
	}{
		"destinations": {destinationList, table{
			"": "", "none": "none", "10.0.5.7": "10.0.5.7", "10.0.5.7/32": "10.0.5.7", "10.0.0.0/8:443/tcp": "10.0.0.0/8:443/tcp",
			"10.0.0.0/8/udp": "10.0.0.0/8/udp", "[2001:db8::1]:443": "[2001:db8::1]:443", "[2001:db8::/32]:1-65535/sctp": "[2001:db8::/32]:1-65535/sctp",
			"2001:db8::1": "2001:db8::1", "[2001:db8::1]": "2001:db8::1", "2001:db8::/32/tcp": "2001:db8::/32/tcp", "2001:DB8:0:0::1": "2001:db8::1",
			"private:80, internet ,private:80": "internet,private:80", "host:5432/tcp,lan,metadata": "host:5432/tcp,lan,metadata",
			"Registry.Example:443": "registry.example:443", "*.example/tcp": "*.example/tcp", "registry.example.": "registry.example", "nas.": "nas.", "network:db": "network:db", "network:shop_db.1:5432/tcp": "network:shop_db.1:5432/tcp", "network:db:80-90,network:db/udp": "network:db/udp,network:db:80-90", "*.lan:80-90": "*.lan:80-90", "_a.b-c.x1:1": "_a.b-c.x1:1", "dns,a.example": "a.example,dns",
		}, table{
			"network:": "docker network ls", "network:a b": "docker network ls", "network:-db": "docker network ls", "network:db:0": "none from 1 to 65535", "network:db:1:2": `port "1:2"`, "network:db/tpc": "did you mean tcp?", "intenet": "did you mean internet?", "a.*.example": "with * elsewhere than in *. at its front", "*": "with * elsewhere", "*.*.example": "with * elsewhere", "a..example": "nothing between two dots", "-a.example": "begins or ends with -",
			"a-.example": "begins or ends with -", "bücher.example": "beginning with xn--", "a b.example": `has ' '`, "10.0.0.x1.7": "no name ends in a number", strings.Repeat("a", 64) + ".example": "longer than 63 letters",
			strings.Repeat("abcdefg.", 32) + "example": "longer than 253 letters", "dns:53": "dns is port 53", "dns/udp": "dns is port 53", "*.": "nothing between two dots", "registry.example:0": "none from 1 to 65535",
			"localhost": "write localhost. for a name of one word", "localhost.": "can never match", "db.localhost": "can never match", "https://registry.example/a": "write the name and the port alone, as registry.example:443", "10.0.0.300": "want an address, a subnet, a name, or one of", "10.0.5.7:0": `port "0", which is none from 1 to 65535`, "10.0.5.7:70000": "none from 1 to 65535", "10.0.5.7:90-80": "the first behind the last",
			"10.0.5.7/tpc": "did you mean tcp?", "10.0.5.7/24": "want 10.0.5.0/24, or 10.0.5.7 for the address alone", "2001:db8::1:65536": "one with a port is written [ADDRESS]:PORT",
			"[10.0.0.1]:80": "is not [IPV6] or [IPV6]:PORT", "[2001:db8::1]80": "is not [IPV6]", "[2001:db8::1": "is not [IPV6]", "fe80::1%eth0": "leave the zone out", "::ffff:10.0.0.1": "write the IPv4 address 10.0.0.1",
			"127.0.0.1": "can never match", "0.0.0.0": "can never match", "fe80::/10": "can never match", "::1": "can never match",
			"any": "among other entries", "10.0.0.1,": "an empty entry", "10.0.0.1:+80": "none from 1 to 65535", ":80": "want an address",
		}},
		"sources": {ingressList, table{}, table{"registry.example": "names are not looked up", "dns": "want an address, a subnet, or one of"}},
		"ingress": {ingressList, table{
			"any": "any", "none": "none", "lan": "lan", "10.0.0.0/8,lan": "10.0.0.0/8,lan", "22/tcp=10.8.0.0/24,any": "22/tcp=10.8.0.0/24,any", "8000-8100=none,any": "8000-8100=none,any", "443=any": "443=any", "network:app,any": "any,network:app", "5432/tcp=network:app,lan": "5432/tcp=network:app,lan", "fe80::/10": "fe80::/10",
		}, table{
			"any,lan": "can never match", "none,any": "can never match", "none,network:app": "can never match", "network:app:80": "write PORT=SOURCE", "10.0.0.0/8:80": "write PORT=SOURCE", "host": "want an address", "22=": "want an address", "0=any": "none from 1 to 65535", "22/icmp=any": "unknown protocol \"icmp\": known are those with ports, sctp, tcp, udp", "22/tpc=any": "did you mean tcp?",
			"224.0.0.0/4": "nothing comes from there", "lann": "did you mean lan?", "web=any": "none from 1 to 65535",
		}},
		"host": {hostAccessList, table{"any": "any", "dns": "53", "none": "none", "dns,8080/tcp,8000-8100": "53,8000-8100,8080/tcp"}, table{
			"any,80": "did you mean any?", "dsn": "did you mean dns?", "0": "none from 1 to 65535", "80/icmp": "unknown protocol", "80/upd": "did you mean udp?",
		}},
	} {
		for text, want := range c.good {
			got, err := c.parse(text)
			if err != nil || got != want {
				t.Errorf("%s %q: %q (%v), want %q", option, text, got, err, want)
			}
			if again, err := c.parse(got); err != nil || again != got {
				t.Errorf("%s %q: its form %q is %q (%v)", option, text, got, again, err)
			}
		}
		for text, part := range c.no {
			if got, err := c.parse(text); err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s %q: %q and the error %v, want one with %q", option, text, got, err, part)
			}
		}
	}
}

// TestPolicyOptions: what a container says goes before what its network says, word by word;
// an internal network has nothing to allow.
func TestPolicyOptions(t *testing.T) {
	n, err := ParseNetwork(map[string]any{keyGeneric: map[string]any{"gangway.egress": "deny", "gangway.egress.allow": "10.0.0.1", "gangway.ingress": "lan", "gangway.lock": "true"}})
	if err != nil || !n.Lock {
		t.Fatal(n, err)
	}
	e, err := ParseEndpoint(EndpointOptions{"gangway.egress.allow": []byte(`"none"`), "gangway.mode": []byte(`"audit"`)})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.Policy.Over(n.Policy), (Policy{Egress: "deny", Allow: "none", Ingress: "lan", Mode: "audit"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for option, value := range map[string]string{"gangway.egress.allow": "10.0.0.1", "gangway.ingress": "lan"} {
		_, err = ParseNetwork(map[string]any{keyInternal: true, keyGeneric: map[string]any{option: value}})
		wantErr(t, err, option, "--internal")
	}
	_, err = ParseEndpoint(EndpointOptions{"gangway.lock": []byte(`"true"`)})
	wantErr(t, err, "gangway.lock is an option of networks")
	_, err = ParseNetwork(map[string]any{keyGeneric: map[string]any{"gangway.egress": "closed"}})
	wantErr(t, err, "none of open, internet, deny")
}

func FuzzPolicyEntries(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8:443/tcp", "[2001:db8::/32]:1-2/udp", "internet,host:80", "22/tcp=10.8.0.0/24,any", "dns,8080", "::1%1", "[::", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (string, error){destinationList, ingressList, hostAccessList} {
			got, err := parse(text)
			if err != nil {
				continue
			}
			if again, err := parse(got); err != nil || again != got {
				t.Errorf("%q has the form %q, which has %q (%v)", text, got, again, err)
			}
		}
	})
}

// TestPeerNetworks: which networks a policy names, and what the names stand for.
func TestPeerNetworks(t *testing.T) {
	p := Policy{Allow: "10.0.0.1,network:db:5432/tcp,network:db/udp", Deny: "network:a_b", Ingress: "5432=network:x.y,network:app"}
	if got := strings.Join(p.NamedNetworks(), " "); got != "a_b app db x.y" {
		t.Errorf("the policy names %s", got)
	}
	db := PeerNetwork{Name: "db", Bridge: "gw-1", Subnet4: netip.MustParsePrefix("10.2.0.0/24"), Subnet6: netip.MustParsePrefix("fd00:2::/64")}
	app := PeerNetwork{Name: "app", Bridge: "my,br=1", Subnet6: netip.MustParsePrefix("fd00:3::/64")}
	p.Networks = NetworksText([]PeerNetwork{app, db})
	for name, want := range map[string]PeerNetwork{"db": db, "app": app, "x.y": {Name: "x.y"}} {
		if got := p.PeerNetwork(name); got != want {
			t.Errorf("%s stands for %+v, want %+v", name, got, want)
		}
	}
}
