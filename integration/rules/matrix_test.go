package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/integration/wiring"
)

// combination is one row of the matrix. Rows that name the same golden file
// must not differ.
type combination struct {
	// create and run: see wishes.
	create, run string
	// rules and links are the golden files of what the rows add, for both
	// backends together, and of the bridges, ports and switches.
	rules, links string
	// adopted has the bridge "mine" exist before.
	adopted bool
	// bridged: see setup.
	bridged bool
}

func (c combination) String() string {
	name := strings.TrimSpace(c.create + " run " + c.run)
	if c.adopted {
		name += " adopted"
	}
	if c.bridged {
		name += " bridged"
	}
	return name
}

// shared tells constant rules apart: where the host is a machine of its network's LAN there is
// nothing to be isolated.
func (c combination) shared() string {
	if strings.Contains(c.create, "move=true") {
		return "-moved"
	}
	return ""
}

// testMatrix compares what each combination adds to the kernel with its golden
// files. What all networks share must be the same in all of them, and nothing
// may be left when the networks are gone.
func testMatrix(t *testing.T) {
	constant, added, links := newGoldens("constant"), newGoldens("rules"), newGoldens("links")
	pool := hosts{t: t, free: map[string][]*host{}}
	t.Run("combinations", func(t *testing.T) {
		for _, c := range matrix() {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				var both []string
				for _, backend := range wiring.Backends() {
					pool.use(t, backend, func(h *host) {
						rules := h.check(c, links)
						constant.compare(t, backend+c.shared(), rules.constant)
						both = append(both, rules.added...)
					})
				}
				if !t.Failed() {
					added.compare(t, c.rules, both)
				}
			})
		}
	})
	if !t.Failed() {
		constant.settled(t, true)
		added.settled(t, true)
		links.settled(t, true)
	}
}

// check makes the networks of a row, and removes them.
func (h *host) check(c combination, links *goldens) ruleDump {
	h.t.Helper()
	h.bridged(c.bridged)
	h.set("ipv4/ip_forward", "0")
	h.set("ipv6/conf/all/forwarding", "0")
	if c.adopted {
		b := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
		b.Name = "mine"
		h.ok(h.nl.LinkAdd(b))
	}
	if strings.Contains(c.create, "=card") {
		defer h.card()()
	}
	before, closed := h.links(), h.rules()
	all := wishes(c.create, c.run)
	for n, w := range all {
		h.grant(n, w)
	}
	links.compare(h.t, c.links, h.links())
	full := h.rules()
	for n := range all {
		h.ok(h.driver.DeleteNetwork(h.t.Context(), networkID(n)))
	}
	// Forwarding stays on, and what keeps the host from being a router stays with it.
	if left := h.rules(); !slices.Equal(left.constant, closed.constant) || !slices.Equal(left.added, closed.added) {
		h.t.Errorf("rules were left behind: %q", left)
	}
	after := h.links()
	if d := cmp.Diff(before[:len(before)-1], after[:len(after)-1]); d != "" { // forwarding stays on
		h.t.Errorf("links were left behind:\n%s", d)
	}
	if c.adopted {
		l, err := h.nl.LinkByName("mine")
		h.ok(err)
		h.ok(h.nl.LinkDel(l))
	}
	return full
}

// card makes a link that can be an uplink, and returns what removes it.
func (h *host) card() (remove func()) {
	h.t.Helper()
	l := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: "cable"}
	l.Name = "card"
	h.ok(h.nl.LinkAdd(l))
	return func() { h.ok(h.nl.LinkDel(l)) }
}

// Every option, and every value of those that have few, is in the matrix: a new
// one has to say what it does to the rules.
func TestMatrixIsComplete(t *testing.T) {
	var given []string
	for _, c := range matrix() {
		for _, w := range wishes(c.create, c.run) {
			given = append(given, w.create, w.run)
		}
	}
	for _, o := range config.OptionsTable() {
		if o.Engine || o.Where == config.ForPool { // which is of no matter to rules
			continue
		}
		flags := map[config.Where][]string{config.ForNetwork: {"-o"}, config.ForContainer: {"--driver-opt"}, config.ForBoth: {"-o", "--driver-opt"}}[o.Where]
		values := []string{""}
		switch {
		case o.Values == "true or false":
			values = []string{map[string]string{"true": "false", "false": "true"}[o.Default]}
		case strings.Contains(o.Name, "gateway_mode"):
			values = strings.Split(o.Values, ", ")
		}
		short := o.Name[strings.LastIndexByte(o.Name, '.')+1:]
		for _, v := range values {
			for _, flag := range flags {
				arg := flag + " " + short + "=" + v
				if !slices.ContainsFunc(given, func(c string) bool { return strings.Contains(" "+c, " "+arg) }) {
					t.Errorf("no combination has %s", arg)
				}
			}
		}
	}
}
