package trace

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/nftrace"
)

// ownTable knows the steps of table "own".
type ownTable struct{}

func (ownTable) Own(e nftrace.Event) bool { return e.Table == "own" }
func (ownTable) Starts(e nftrace.Event) bool {
	return e.Table == "own" && e.Matched()
}
func (ownTable) Ends(e nftrace.Event) (ends, up bool) {
	own := e.Table == "own" && e.Kind == nftrace.Policy
	return own && (e.Chain == "post" || e.Chain == "in"), own && e.Chain == "in"
}

type handles struct{}

func (handles) Rule(e nftrace.Event) string { return fmt.Sprintf("%s rule %d", e.Where(), e.Handle) }
func (handles) Link(index uint32) string    { return fmt.Sprintf("link%d", index) }

// events reads "PACKET FAMILY TABLE CHAIN WHAT [>DESTINATION] [oif N]"; WHAT is rule:N, drop:N,
// accept:N, queue:N, none (a rule without a handle), policy, policy-drop or return.
func events(lines ...string) (all []nftrace.Event) {
	families := map[string]byte{"inet": unix.NFPROTO_INET, "ip": unix.NFPROTO_IPV4, "bridge": unix.NFPROTO_BRIDGE}
	for _, line := range lines {
		f := strings.Fields(line)
		packet, _ := strconv.ParseUint(f[0], 10, 32)
		e := nftrace.Event{Packet: uint32(packet), Family: families[f[1]], Table: f[2], Chain: f[3], Kind: nftrace.Rule, Verdict: -1}
		what, handle, _ := strings.Cut(f[4], ":")
		e.Handle, _ = strconv.ParseUint(handle, 10, 64)
		switch what {
		case "drop":
			e.Verdict = nftrace.Drop
		case "accept":
			e.Verdict = nftrace.Accept
		case "queue":
			e.Verdict = 7<<16 | nftrace.Queue
		case "policy":
			e.Kind, e.Verdict = nftrace.Policy, nftrace.Accept
		case "policy-drop":
			e.Kind, e.Verdict = nftrace.Policy, nftrace.Drop
		case "return":
			e.Kind, e.Verdict = nftrace.Return, 0
		}
		for _, word := range f[5:] {
			if to, is := strings.CutPrefix(word, ">"); is {
				e.Source, e.Destination = netip.MustParseAddrPort("10.0.0.9:99"), netip.MustParseAddrPort(to)
			} else {
				out, _ := strconv.ParseUint(word, 10, 32)
				e.Out = uint32(out)
			}
		}
		all = append(all, e)
	}
	return all
}

const start = "1 inet own pre rule:1 >192.0.2.1:80"

func TestWays(t *testing.T) {
	const packet = "a packet from 10.0.0.9:99 to 192.0.2.1:80"
	for _, c := range []struct {
		name   string
		events []string
		want   Verdict
		ways   int
		steps  []string
	}{
		{"dropped by a rule", []string{start, "1 ip filter FORWARD rule:3", "1 ip filter DOCKER-USER drop:4"}, Dropped, 1,
			[]string{packet, "ip filter FORWARD rule 3", "dropped by ip filter DOCKER-USER rule 4"}},
		{"dropped by a policy", []string{start, "1 inet other fwd none", "1 inet other fwd policy-drop"}, Dropped, 1, []string{packet, "dropped by inet other fwd, whose policy is drop"}},
		{"dropped by gangway", []string{start, "1 inet gangway stopped drop:4"}, Dropped, 1, []string{packet, "dropped by Gangway's own inet gangway stopped rule 4"}},
		{"dropped by its chains", []string{start, "1 ip filter GANGWAY-DENY drop:4"}, Dropped, 1, []string{packet, "dropped by Gangway's own ip filter GANGWAY-DENY rule 4"}},
		{"translated and forwarded", []string{start, "1 ip nat PREROUTING accept:2", "1 ip filter FORWARD policy >10.0.0.2:8080 5", "1 inet own post none 5", "1 inet own post policy"}, Accepted, 1,
			[]string{packet, "ip nat PREROUTING rule 2: accepted", "its destination is now 10.0.0.2:8080", "ip filter FORWARD: accepted by its policy", "accepted by all chains, leaves by link5"}},
		{"for the host", []string{start, "1 ip filter INPUT return", "1 inet own in policy"}, Accepted, 1, []string{packet, "accepted by all chains, for a program of the host"}},
		{"lost", []string{start, "1 ip raw PREROUTING policy"}, Dropped, 1,
			[]string{packet, "ip raw PREROUTING: accepted by its policy", "gone behind ip raw PREROUTING, dropped by no rule of nf_tables: routing, rp_filter, or iptables-legacy"}},
		{"lost at once", []string{start}, Dropped, 1, []string{packet, "gone behind where it came in, dropped by no rule of nf_tables: routing, rp_filter, or iptables-legacy"}},
		{"queued", []string{start, "1 ip filter FORWARD queue:2"}, Dropped, 1,
			[]string{packet, "ip filter FORWARD rule 2: handed to a program (queue)", "gone behind ip filter FORWARD, dropped by no rule of nf_tables: routing, rp_filter, or iptables-legacy"}},
		{"out and in by lo", []string{"1 inet own out rule:1 >192.0.2.1:80", "1 inet own post none 1", "1 inet own post policy", "2 inet own pre rule:1 >192.0.2.1:80", "2 ip filter INPUT drop:7"}, Dropped, 1,
			[]string{packet, "dropped by ip filter INPUT rule 7"}},
		{"redirected by lo", []string{"1 inet own out rule:1 >192.0.2.1:80", "1 inet own post policy >127.0.0.1:81 1", "2 inet own pre policy >127.0.0.1:81", "2 inet own in policy"}, Accepted, 1,
			[]string{packet, "its destination is now 127.0.0.1:81", "accepted by all chains, for a program of the host"}},
		{"by a bridge", []string{"1 bridge own pre rule:1 >192.0.2.1:80", "2 inet own pre rule:1 >192.0.2.1:80", "2 ip filter FORWARD drop:7"}, Dropped, 1,
			[]string{packet, "dropped by ip filter FORWARD rule 7"}},
		{"by br_netfilter", []string{"1 bridge own pre rule:1 >192.0.2.1:80", "1 inet own pre rule:1 >192.0.2.1:80", "1 ip nat PREROUTING policy", "2 inet own pre rule:1 >192.0.2.1:80", "2 ip filter FORWARD drop:7"}, Dropped, 1,
			[]string{packet, "ip nat PREROUTING: accepted by its policy", "dropped by ip filter FORWARD rule 7"}},
		{"by br_netfilter, translated", []string{"1 bridge own pre rule:1 >192.0.2.1:80", "1 inet own pre rule:1 >192.0.2.1:80", "2 inet own pre policy >10.0.0.2:80", "2 inet own post policy 5"}, Accepted, 1,
			[]string{packet, "its destination is now 10.0.0.2:80", "accepted by all chains, leaves by link5"}},
		{"the second is dropped", []string{start, "1 inet own in policy", "1 inet own pre rule:1 >192.0.2.1:80", "1 ip filter INPUT drop:7"}, Dropped, 2, []string{packet, "dropped by ip filter INPUT rule 7"}},
		{"the second is under way", []string{start, "1 inet own in policy", "2 inet own pre rule:1 >192.0.2.1:80"}, Accepted, 2, []string{packet, "accepted by all chains, for a program of the host"}},
		{"both dropped", []string{start, "1 ip filter INPUT drop:7", "1 inet own pre rule:1 >192.0.2.1:80", "1 ip filter INPUT drop:8"}, Dropped, 2, []string{packet, "dropped by ip filter INPUT rule 7"}},
		{"side by side", []string{start, "2 inet own pre rule:1 >192.0.2.1:80", "1 inet own in policy", "2 ip filter INPUT drop:7"}, Dropped, 2, []string{packet, "dropped by ip filter INPUT rule 7"}},
		{"another's", []string{"9 inet theirs pre rule:1 >192.0.2.1:80", "9 ip filter INPUT drop:7"}, Dropped, 0,
			[]string{"no packet came to a rule of the host: not sent, without a route, or dropped before (port filter)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := judge(ownTable{}, handles{}, events(c.events...))
			var steps []string
			for _, s := range seen.Steps {
				steps = append(steps, s.Text)
			}
			if seen.Verdict != c.want || seen.Packets != c.ways || !reflect.DeepEqual(steps, c.steps) {
				t.Errorf("%s, %d packets, want %s, %d:\n%q, want\n%q", seen.Verdict, seen.Packets, c.want, c.ways, steps, c.steps)
			}
		})
	}
}

// listed is a chain as nft 1.1 prints one that iptables-nft has made.
const listed = `# Warning: table ip filter is managed by iptables-nft, do not touch!
table ip filter {
	chain DOCKER-USER { # handle 12
		type filter hook forward priority 0; policy accept;
		ip saddr 192.0.2.2 tcp dport 80 counter drop # handle 15
		tcp dport { 22, 8000 } counter packets 0 bytes 0 comment "a # handle 3" return # handle 17
	}
}
`

func TestParseChain(t *testing.T) {
	want := map[uint64]string{15: "rule 1 (ip saddr 192.0.2.2 tcp dport 80 drop)"}
	got := parseChain(listed)
	if got[15] != want[15] || !strings.HasPrefix(got[17], "rule 2 (tcp dport { 22, 8000 } ") || len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestOutcome(t *testing.T) {
	for _, c := range []struct {
		name string
		d    Decision
		seen *Seen
		want Verdict
	}{
		{"without the kernel", Decision{Verdict: Accepted}, nil, Accepted},
		{"where the kernel cannot", Decision{Verdict: Dropped}, &Seen{}, Dropped},
		{"the kernel's", Decision{Verdict: Accepted}, &Seen{Verdict: Dropped, Packets: 1}, Dropped},
		{"within a bridge, unseen", Decision{Verdict: Accepted, Switched: true}, &Seen{Verdict: Dropped}, Accepted},
		{"within a bridge, seen", Decision{Verdict: Accepted, Switched: true}, &Seen{Verdict: Dropped, Bridged: true}, Dropped},
		{"unseen and connected", Decision{Verdict: Unknown}, &Seen{Verdict: Dropped, Answer: accepted}, Accepted},
	} {
		if got := Outcome(c.d, c.seen); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestCompare: what comes elsewhere than it should is told, and where the way back is to be
// looked at.
func TestCompare(t *testing.T) {
	inside, elsewhere := netip.MustParseAddrPort("10.80.0.2:80"), netip.MustParseAddrPort("192.0.2.1:8000")
	for _, c := range []struct {
		name  string
		d     Decision
		seen  Seen
		want  Verdict
		words string
	}{
		{"as it should", Decision{Verdict: Accepted, To: inside}, Seen{Verdict: Accepted, Packets: 1, To: inside, Answer: accepted}, Accepted, ""},
		{"untranslated", Decision{Verdict: Accepted, To: inside}, Seen{Verdict: Accepted, Packets: 1, To: elsewhere}, Diverted, "goes to 192.0.2.1:8000, and not to 10.80.0.2:80"},
		{"relayed", Decision{Verdict: Accepted}, Seen{Verdict: Accepted, Packets: 1, To: elsewhere}, Accepted, ""},
		{"dropped before", Decision{Verdict: Accepted, To: inside}, Seen{Verdict: Dropped, Packets: 1, To: elsewhere}, Dropped, ""},
		{"no answer", Decision{Verdict: Accepted, To: inside}, Seen{Verdict: Accepted, Packets: 1, To: inside, Answer: noAnswer}, Accepted, "gangway doctor"},
	} {
		c.seen.Compare(c.d)
		var text []string
		for _, s := range c.seen.Steps {
			text = append(text, s.Text)
		}
		all := strings.Join(append(text, c.seen.Notes...), "\n")
		if got := Outcome(c.d, &c.seen); got != c.want || !strings.Contains(all, c.words) || c.words == "" && all != "" {
			t.Errorf("%s: %s, want %s: %q, want %q", c.name, got, c.want, all, c.words)
		}
	}
}
