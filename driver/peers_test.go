package driver

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// halves are those that the kernel has, as text.
func halves(f *fakeHost) string {
	var all []string
	for _, p := range rulesOf[firewall.Peer](f) {
		all = append(all, fmt.Sprintf("%s %t %s %s %d %d-%d", p.EndpointID[:2], p.Asks, p.Addr, p.Other, p.Proto, p.First, p.Last))
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func wantHalves(t *testing.T, f *fakeHost, when string, want ...string) {
	t.Helper()
	if got := halves(f); got != strings.Join(want, "\n") {
		t.Errorf("%s: the kernel has\n%s\nwant\n%s", when, got, strings.Join(want, "\n"))
	}
}

// naming has the engine say what networks are called.
func naming(t *testing.T, d *Driver, pairs ...string) {
	t.Helper()
	r := Inventory{Engine: "this", Networks: map[string]string{"host": "host"}}
	for i := 0; i < len(pairs); i += 2 {
		r.Networks[pairs[i]] = pairs[i+1]
	}
	_, _, err := d.NoteInventory(t.Context(), r)
	must(t, err)
}

func closedLines(t *testing.T, d *Driver, network string) (all []string) {
	t.Helper()
	e, err := d.ExplainPolicy(Whom{NetworkID: network})
	must(t, err)
	for _, l := range e.Lines {
		if l.Closed != "" {
			all = append(all, l.Value+": "+l.Closed)
		}
	}
	return all
}

// TestPeers: networks that name each other are open to each other as soon as the engine has said
// what they are called, over a restart as well, and as long as they are there; one that comes
// again with the same name is another one.
func TestPeers(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	app, db := bridgeName(netA), bridgeName(netB)
	must(t, d.CreateNetwork(ctx, policyRequest(netA, "10.0.0.0/24", "10.0.0.1", "gangway.egress", "deny", "gangway.egress.allow", "network:db:5432/tcp,10.9.0.1")))
	must(t, d.CreateNetwork(ctx, policyRequest(netB, "10.1.0.0/24", "10.1.0.1", "gangway.ingress", "network:app")))
	container(t, d, netA, ep1, "10.0.0.2/24")
	container(t, d, netB, ep2, "10.1.0.2/24")
	wantHalves(t, f, "before the engine has named them")
	if got := closedLines(t, d, netA); !slices.Equal(got, []string{"network:db:5432/tcp: there is no network db"}) {
		t.Errorf("explained before: %q", got)
	}
	if got := d.unmetNetworks(); len(got) != 2 || !strings.Contains(got[1], "there is no network db: the policy of network "+model.Short(netA)) {
		t.Errorf("status before: %q", got)
	}

	asks, asked := ep1[:2]+" true 10.0.0.2 "+db+" 6 5432-5432", ep2[:2]+" false 10.1.0.2 "+app+" 0 0-0"
	naming(t, d, netA, "app")
	wantHalves(t, f, "with one name", asked)
	if got := closedLines(t, d, netB); !slices.Equal(got, []string{"network:app: no gangway.egress.allow of network app has network:NAME of this one"}) {
		t.Errorf("explained by half: %q", got)
	}
	naming(t, d, netA, "app", netB, "db")
	wantHalves(t, f, "named", inOrder(asks, asked)...)
	inSync(t, f, d)
	if got := append(append(closedLines(t, d, netA), closedLines(t, d, netB)...), d.unmetNetworks()...); got != nil {
		t.Errorf("explained: %q", got)
	}
	if texts, _ := inForce(f, netA, ""); texts.Networks != "db "+db+" 10.1.0.0/24" {
		t.Errorf("the policy has %+v", texts)
	}
	d = newTestDriver(t, f, "boot")
	wantHalves(t, f, "after a restart", inOrder(asks, asked)...)

	must(t, d.DeleteNetwork(ctx, netB))
	wantHalves(t, f, "with one of them gone")
	if texts, _ := inForce(f, netA, ""); texts.Networks != "" {
		t.Errorf("the policy still has %+v", texts)
	}
	inSync(t, f, d)
	must(t, d.CreateNetwork(ctx, policyRequest(netB, "10.2.0.0/24", "10.2.0.1", "gangway.ingress", "5432=network:app", "com.docker.network.bridge.name", "other")))
	container(t, d, netB, ep2, "10.2.0.2/24")
	naming(t, d, netA, "app", netB, "db")
	wantHalves(t, f, "made again", inOrder(ep1[:2]+" true 10.0.0.2 other 6 5432-5432", ep2[:2]+" false 10.2.0.2 "+app+" 6 5432-5432", ep2[:2]+" false 10.2.0.2 "+app+" 17 5432-5432", ep2[:2]+" false 10.2.0.2 "+app+" 132 5432-5432")...)
	naming(t, d, netA, "app", netB, "app")
	wantHalves(t, f, "called the same")
	if got := closedLines(t, d, netB); !slices.Equal(got, []string{"5432=network:app: 2 networks are called app"}) {
		t.Errorf("explained of two: %q", got)
	}
	inSync(t, f, d)
}

func inOrder(all ...string) []string {
	slices.Sort(all)
	return all
}

// TestPeersOfOne: what one container says counts for it alone, and an exception as long as it is
// there; a network that is open otherwise opens others by name; internal networks stay closed.
func TestPeersOfOne(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	must(t, d.CreateNetwork(ctx, policyRequest(netB, "10.1.0.0/24", "10.1.0.1", "gangway.egress.allow", "network:app", "gangway.ingress", "any,network:inner")))
	inner := policyRequest("c"+netA[1:], "10.2.0.0/24", "10.2.0.1")
	inner.Options["com.docker.network.internal"] = true
	must(t, d.CreateNetwork(ctx, inner))
	naming(t, d, netA, "app", netB, "db", inner.ID, "inner")
	container(t, d, netA, ep1, "10.0.0.2/24")
	r := endpointRequest(netA, ep2, "10.0.0.3/24")
	r.Options = config.EndpointOptions{"gangway.ingress": []byte(`"network:db"`)}
	must(t, endpointErr(d.CreateEndpoint(ctx, r)), joinErr(d.Join(ctx, netA, ep2, "/netns/2", nil)))
	one := ep2[:2] + " false 10.0.0.3 " + bridgeName(netB) + " 0 0-0"
	wantHalves(t, f, "one container", one)
	if got := closedLines(t, d, netB); !slices.Equal(got, []string{"network:inner: network inner is internal"}) {
		t.Errorf("explained: %q", got)
	}
	must(t, d.Except(ctx, Whom{netA, ep1}, model.Exception{To: "network:db:80/tcp"}))
	wantHalves(t, f, "with an exception", inOrder(one, ep1[:2]+" true 10.0.0.2 "+bridgeName(netB)+" 6 80-80")...)
	inSync(t, f, d)
	must(t, d.Unexcept(ctx, Whom{netA, ep1}, "network:db:80/tcp"))
	wantHalves(t, f, "without it", one)
	must(t, d.DeleteEndpoint(ctx, netA, ep2))
	wantHalves(t, f, "without the container")
}
