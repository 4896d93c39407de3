package page

import (
	"context"
	"fmt"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/graph/graphtest"
)

// testPolicies: a network that has a policy, and a container that has one of its own, bear a
// mark; details say what it says, whose it is, and what its entries have decided; and a packet
// that it refuses is told of with the entry.
func testPolicies(t *testing.T, browser context.Context) {
	h := graphtest.New()
	agents := config.Policy{Egress: "deny", Allow: "10.0.5.7:5432/tcp", Deny: "none", Ingress: "any", Host: "none", Mode: "enforce"}
	network := h.Network("agents", func(n *plugin.Network) { n.Policy = agents }, "10.80.0.0/24")
	h.Network("plain", nil, "10.81.0.0/24")
	for _, name := range []string{"agent", "loose", "tried"} {
		h.Container(name, network, "10.80.0.2/24")
	}
	own := agents
	own.Mode = "audit"
	for i, p := range []config.Policy{agents, {}, own} {
		h.Endpoints[i].Policy = p
	}
	h.Publish(h.Endpoints[0].ID, "", "tcp", 8000, 8000, 80)
	h.Ports[0].Ingress = []string{"lan", "10.8.0.0/24"}
	d := newDaemon(h)
	d.decisions[network] = []plugin.Decisions{{Decisions: driver.Decisions{NetworkID: network, Policy: "0a1b2c3d4e5f", Sharers: 3, Entries: []policy.Use{
		{Entry: policy.Entry{Option: policy.OptionAllow, Value: "10.0.5.7:5432/tcp"}, Passes: true, Packets: 1234},
		{Entry: policy.Entry{Option: policy.OptionEgress, Value: "deny"}, Packets: 7},
	}}}}
	tb := open(t, browser, serve(t, d, ""), "/", look{})
	tb.ready(2)
	mark := func(of string) string {
		return fmt.Sprintf(`[...document.querySelectorAll('[aria-label=%q] .kind')].filter((e) => !e.hidden).map((e) => e.innerText).join()`, of)
	}
	// The first kinds of a network are its own; those of its containers are further in.
	tb.sees("the network's mark", `document.querySelector('[aria-label="network agents"] .head .kinds').innerText.includes("policy")`)
	tb.sees("no mark", `!document.querySelector('[aria-label="network plain"] .head .kinds').innerText.includes("policy")`)
	for container, want := range map[string]string{"agent": "", "loose": "own policy: open", "tried": "own policy: audit"} {
		tb.sees("the mark of "+container, fmt.Sprintf(`%s === %q`, mark("container "+container), want))
	}
	tb.tidy("with policies")
	tb.click(`[aria-label="network agents"] .head .name`)
	for _, line := range []string{"gangway.egress=deny", "gangway.egress.allow=10.0.5.7:5432/tcp", "gangway.host=none", "gangway decisions --network"} {
		tb.sees(line, fmt.Sprintf(`document.querySelector("#details").innerText.includes(%q)`, line))
	}
	tb.sees("no word that says nothing", `!document.querySelector("#details").innerText.includes("gangway.egress.deny")`)
	tb.sees("what was decided", `[...document.querySelectorAll("#decisions tr")].map((r) => r.innerText.replace(/\s+/g, " ").trim()).join("; ") === "gangway.egress.allow=10.0.5.7:5432/tcp passed 1.2 k; gangway.egress=deny refused 7"`)
	tb.sees("with whom", `document.querySelector("#decisions").innerText.includes("3 others that have the same policy")`)
	tb.tidy("with details")
	tb.click(`[aria-label="container tried"] .name`)
	tb.sees("its own", `document.querySelector("#details").innerText.includes("its own") && document.querySelector("#details").innerText.includes("gangway.mode=audit")`)
	tb.click(`[aria-label="container agent"] .port`)
	tb.sees("who may ask", `document.querySelector("#details").innerText.includes("lan, 10.8.0.0/24")`)

	of := h.Endpoints[0]
	p := plugin.DroppedPacket{Time: d.begin, Reason: "policy", Protocol: "tcp", By: driver.PolicyEntry{Entry: policy.Entry{Option: policy.OptionEgress, Value: "deny"}}}
	p.From = plugin.Party{Party: driver.Party{Addr: of.Addresses[0].Addr(), NetworkID: network, EndpointID: of.ID}, Whose: of.Whose}
	p.To = plugin.Party{Party: driver.Party{Addr: of.Addresses[0].Addr().Next(), Port: 443}}
	d.packets <- p
	tb.sees("the entry", `document.querySelector("#log").innerText.includes("10.80.0.3:443 tcp · gangway.egress=deny of network agents")`)
}
