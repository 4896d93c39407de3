package driver

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

const (
	netA = "aaaaaaaaaaaa1111"
	netB = "bbbbbbbbbbbb2222"
	ep1  = "111111111111eeee"
	ep2  = "222222222222eeee"
)

func pool(subnet, gateway string) []PoolData {
	p := netip.MustParsePrefix(subnet)
	return []PoolData{{Subnet: p, Gateway: netip.PrefixFrom(netip.MustParseAddr(gateway), p.Bits())}}
}

func networkRequest(id, subnet, gateway string) CreateNetworkRequest {
	return CreateNetworkRequest{ID: id, IPv4: pool(subnet, gateway), Options: map[string]any{}}
}

func endpointRequest(network, id, addr string) CreateEndpointRequest {
	return CreateEndpointRequest{NetworkID: network, EndpointID: id, IPv4: netip.MustParsePrefix(addr)}
}

func generic(kv ...string) map[string]any {
	g := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		g[kv[i]] = kv[i+1]
	}
	return map[string]any{"com.docker.network.generic": g}
}

// portmap is PEC's options for TCP ports host -> container.
func portmap(pairs ...float64) config.EndpointOptions { return portmapOn(6, "", pairs...) }

// portmapOn is portmap for a protocol and a host address.
func portmapOn(proto int, hostIP string, pairs ...float64) config.EndpointOptions {
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, fmt.Sprintf(`{"Proto":%d,"IP":"","Port":%v,"HostIP":%q,"HostPort":%v,"HostPortEnd":%[4]v}`,
			proto, pairs[i+1], hostIP, pairs[i]))
	}
	return config.EndpointOptions{"com.docker.network.portmap": []byte("[" + strings.Join(list, ",") + "]")}
}

// must runs verbs that have to succeed.
func must(t testing.TB, errs ...error) {
	t.Helper()
	for i, err := range errs {
		if err != nil {
			t.Fatalf("verb %d: %v", i, err)
		}
	}
}

func endpointErr(_ CreateEndpointResult, err error) error { return err }

func joinErr(_ JoinResult, err error) error { return err }

// inSync fails unless the host holds exactly what the state says.
func inSync(t *testing.T, f *fakeHost, d *Driver) {
	t.Helper()
	want, got := expected(d), f.picture()
	got.Held, got.Stored, got.Detached = nil, nil, nil
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("the kernel differs from the state:\nwant %+v\ngot  %+v", want, got)
	}
	if open := d.writer.Open(); len(open) > 0 {
		t.Fatalf("changes have left %v open", open)
	}
}

func container(t *testing.T, d *Driver, network, id, addr string, ports ...float64) {
	t.Helper()
	ctx := t.Context()
	must(t,
		endpointErr(d.CreateEndpoint(ctx, endpointRequest(network, id, addr))),
		joinErr(d.Join(ctx, network, id, "/run/docker/netns/"+model.Short(id), nil)),
		d.Publish(ctx, network, id, portmap(ports...)),
	)
}

// withContainer is a driver with a network and a container on it, which
// publishes 8080 for its port 80.
func withContainer(t *testing.T) (*fakeHost, *Driver) {
	t.Helper()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	return f, d
}

func TestContainerLife(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	empty := f.picture()
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	inSync(t, f, d)
	if len(rulesOf[firewall.Port](f)) != 1 {
		t.Fatalf("want the IPv4 run by NAT and the IPv6 one relayed, got %v", rulesOf[firewall.Port](f))
	}
	must(t,
		d.Unpublish(ctx, netA, ep1),
		d.Leave(ctx, netA, ep1),
		d.Leave(ctx, netA, ep1),
	)
	inSync(t, f, d)
	if len(f.held) != 0 || len(f.dropped) != 1 {
		t.Fatalf("after leave: held %v, dropped %v", f.held, f.dropped)
	}
	must(t,
		d.DeleteEndpoint(ctx, netA, ep1),
		d.DeleteNetwork(ctx, netA),
		d.DeleteEndpoint(ctx, netA, ep1),
		d.DeleteNetwork(ctx, netA),
	)
	if got := f.picture(); !reflect.DeepEqual(empty, got) {
		t.Fatalf("left behind: %+v", got)
	}
}

func TestVerbsRepeated(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	request := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	must(t, d.CreateNetwork(ctx, request))
	first, err := d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.2/24"))
	must(t, err)
	join1, err := d.Join(ctx, netA, ep1, "/netns/1", nil)
	must(t, err, d.Publish(ctx, netA, ep1, portmap(0, 80)))
	before := f.picture()

	must(t, d.CreateNetwork(ctx, request))
	again, err := d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.2/24"))
	must(t, err)
	join2, err := d.Join(ctx, netA, ep1, "/netns/1", nil)
	must(t, err, d.Publish(ctx, netA, ep1, portmap(0, 80)))
	if !reflect.DeepEqual(first, again) || !reflect.DeepEqual(join1, join2) {
		t.Errorf("the second answer differs: %v %v, %v %v", first, again, join1, join2)
	}
	// Beside the host's address, within its subnet, is the user's choice.
	must(t, d.CreateNetwork(ctx, networkRequest(netB, "192.0.2.128/25", "192.0.2.129")), d.DeleteNetwork(ctx, netB))
	if after := f.picture(); !reflect.DeepEqual(before, after) {
		t.Errorf("repeating changed something:\n%+v\n%+v", before, after)
	}
}

func TestRefused(t *testing.T) {
	f := newFakeHost()
	f.foreign["eth9"] = bridgeInfo("dummy")
	f.elsewhere = []spec.LinkAddress{{Link: "eth0", Address: netip.MustParsePrefix("192.0.2.1/24")}}
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	before := f.picture()
	withOptions := func(r CreateNetworkRequest, o map[string]any) CreateNetworkRequest {
		r.Options = o
		return r
	}
	other := networkRequest(netB, "10.1.0.0/24", "10.1.0.1")
	multicast := endpointRequest(netA, ep2, "10.0.0.3/24")
	multicast.MAC = []byte{1, 0, 0x5e, 0, 0, 1}
	cases := []struct {
		name     string
		err      error
		conflict bool
		words    []string
	}{
		{"other content", d.CreateNetwork(ctx, networkRequest(netA, "10.9.0.0/24", "10.9.0.1")), true, []string{"aaaaaaaaaaaa", "10.0.0.0/24", "10.9.0.0/24"}},
		{"overlap", d.CreateNetwork(ctx, networkRequest(netB, "10.0.0.128/25", "10.0.0.129")), true, []string{"10.0.0.0/24", "10.0.0.128/25", "aaaaaaaaaaaa"}},
		{"host's subnet", d.CreateNetwork(ctx, networkRequest(netB, "192.0.2.0/25", "192.0.2.5")), true, []string{"192.0.2.0/25", "192.0.2.1", "eth0"}},
		{"bridge taken", d.CreateNetwork(ctx, withOptions(other, generic("com.docker.network.bridge.name", "gw-aaaaaaaaaaaa"))), true, []string{"gw-aaaaaaaaaaaa"}},
		{"not a bridge", d.CreateNetwork(ctx, withOptions(other, generic("com.docker.network.bridge.name", "eth9"))), false, []string{"eth9", "dummy"}},
		{"unknown option", d.CreateNetwork(ctx, withOptions(other, generic("com.docker.network.bridge.enable_iccc", "false"))), false, []string{"enable_iccc", "enable_icc"}},
		{"no subnet", d.CreateNetwork(ctx, CreateNetworkRequest{ID: netB}), false, []string{"no subnet"}},
		{"multicast subnet", d.CreateNetwork(ctx, networkRequest(netB, "224.0.0.0/24", "224.0.0.1")), false, []string{"224.0.0.0/24", "multicast"}},
		{"single address", d.CreateNetwork(ctx, networkRequest(netB, "10.1.0.1/32", "10.1.0.1")), false, []string{"10.1.0.1/32", "/30"}},
		{"gateway outside", d.CreateNetwork(ctx, networkRequest(netB, "10.1.0.0/24", "10.2.0.1")), false, []string{"10.2.0.1", "10.1.0.0/24"}},
		{"bad id", d.CreateNetwork(ctx, networkRequest("../x", "10.1.0.0/24", "10.1.0.1")), false, []string{`"../x"`}},
		{"unknown network", endpointErr(d.CreateEndpoint(ctx, endpointRequest(netB, ep2, "10.1.0.2/24"))), false, []string{"bbbbbbbbbbbb"}},
		{"address outside", endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep2, "10.1.0.2/24"))), false, []string{"10.1.0.2", "10.0.0.0/24"}},
		{"gateway's address", endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep2, "10.0.0.1/24"))), false, []string{"10.0.0.1", "gateway"}},
		{"held address", endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep2, "10.0.0.2/24"))), true, []string{"10.0.0.2", "111111111111"}},
		{"multicast mac", endpointErr(d.CreateEndpoint(ctx, multicast)), false, []string{"01:00:5e"}},
		{"same endpoint, other address", endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.3/24"))), true, []string{"10.0.0.2", "10.0.0.3"}},
		{"join unknown", joinErr(d.Join(ctx, netA, ep2, "/netns/2", nil)), false, []string{"222222222222"}},
		{"join elsewhere", joinErr(d.Join(ctx, netA, ep1, "/netns/2", nil)), true, []string{"/netns/2"}},
		{"publish unknown", d.Publish(ctx, netA, ep2, portmap(1, 1)), false, []string{"222222222222"}},
		{"publish bad port", d.Publish(ctx, netA, ep1, portmap(70000, 1)), false, []string{"70000"}},
	}
	for _, c := range cases {
		var conflict *model.ConflictError
		if c.err == nil || errors.As(c.err, &conflict) != c.conflict {
			t.Errorf("%s: got %v (conflict: %v), want conflict: %v", c.name, c.err, conflict != nil, c.conflict)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(c.err.Error(), w) {
				t.Errorf("%s: %q does not mention %q", c.name, c.err, w)
			}
		}
	}
	if after := f.picture(); !reflect.DeepEqual(before, after) {
		t.Errorf("a refused verb changed something:\n%+v\n%+v", before, after)
	}
}

func TestPublishReplaces(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	must(t, d.CreateNetwork(ctx, networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80, 9090, 90)
	must(t, d.Publish(ctx, netA, ep1, portmap(9090, 91)))
	inSync(t, f, d)
	if len(rulesOf[firewall.Port](f)) != 1 || len(f.held["/run/docker/netns/111111111111"]) != 2 {
		t.Fatalf("ports %v, held %v", rulesOf[firewall.Port](f), f.held)
	}
	// A port of another container fails and leaves what was there.
	container(t, d, netA, ep2, "10.0.0.3/24", 7070, 70)
	before := f.picture()
	if err := d.Publish(ctx, netA, ep2, portmap(7070, 70, 9090, 90)); err == nil {
		t.Fatal("published a host port twice")
	}
	// Beside the host's address, within its subnet, is the user's choice.
	must(t, d.CreateNetwork(ctx, networkRequest(netB, "192.0.2.128/25", "192.0.2.129")), d.DeleteNetwork(ctx, netB))
	if after := f.picture(); !reflect.DeepEqual(before, after) {
		t.Fatalf("a failed publish changed something:\n%+v\n%+v", before, after)
	}
}

func TestInternalNetworkPublishesNothing(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	ctx := t.Context()
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.Options = map[string]any{"com.docker.network.internal": true}
	must(t, d.CreateNetwork(ctx, r), endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.2/24"))))
	join, err := d.Join(ctx, netA, ep1, "/netns/1", nil)
	must(t, err, d.Publish(ctx, netA, ep1, portmap(8080, 80)))
	if join.Gateway4.IsValid() || !join.DisableGatewayService {
		t.Errorf("join names a gateway on an internal network: %+v", join)
	}
	if len(rulesOf[firewall.Port](f))+len(f.held) != 0 {
		t.Errorf("published on an internal network: %v %v", rulesOf[firewall.Port](f), f.held)
	}
}

func TestDeleteNetworkTakesItsEndpoints(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	empty := f.picture()
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	container(t, d, netA, ep1, "10.0.0.2/24", 8080, 80)
	must(t, d.DeleteNetwork(t.Context(), netA))
	if got := f.picture(); !reflect.DeepEqual(empty, got) {
		t.Fatalf("left behind: %+v", got)
	}
}

// TestLostEndpointYieldsBothAddresses: one holder of both addresses yields once.
func TestLostEndpointYieldsBothAddresses(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.IPv6 = pool("fd00::/64", "fd00::1")
	must(t, d.CreateNetwork(t.Context(), r))
	both := func(id string) CreateEndpointRequest {
		e := endpointRequest(netA, id, "10.0.0.2/24")
		e.IPv6 = netip.MustParsePrefix("fd00::2/64")
		return e
	}
	must(t, endpointErr(d.CreateEndpoint(t.Context(), both(ep1))), joinErr(d.Join(t.Context(), netA, ep1, "/netns/1", nil)))
	delete(f.veths, ep1)
	must(t, endpointErr(d.CreateEndpoint(t.Context(), both(ep2))))
	if s := d.Status(t.Context()); s.Endpoints != 1 {
		t.Errorf("%d endpoints", s.Endpoints)
	}
	inSync(t, f, d)
}

// TestUnguarded: where the kernel cannot filter, networks are as they were before
// there was a filter, unless they ask for it; that is shown.
func TestUnguarded(t *testing.T) {
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	d.o.Unguarded = "no cls_bpf"
	before := f.picture()
	for _, kv := range [][]string{{"gangway.anti_spoofing", "true"}, {"com.docker.network.bridge.enable_icc", "false"}} {
		r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
		r.Options = generic(kv...)
		if err := d.CreateNetwork(t.Context(), r); err == nil || !strings.Contains(err.Error(), "no cls_bpf") {
			t.Errorf("%v: %v", kv, err)
		}
	}
	if after := f.picture(); !reflect.DeepEqual(before, after) {
		t.Errorf("a refused network changed something:\n%+v\n%+v", before, after)
	}
	must(t, d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")))
	if s := d.Status(t.Context()); s.Unguarded != "no cls_bpf" {
		t.Errorf("status: %+v", s)
	}
	if n := d.Networks(t.Context())[0]; n.Guarded {
		t.Errorf("network: %+v", n)
	}
	d.o.Unguarded = ""
	if n := d.Networks(t.Context())[0]; !n.Guarded {
		t.Errorf("network: %+v", n)
	}
}

// TestStateWithoutPortFilter: a network that was stored before there was the filter
// gets one, for its containers that run as well.
func TestStateWithoutPortFilter(t *testing.T) {
	f, _ := withContainer(t)
	old := f.veths[ep1]
	old.Reserved = nil
	f.veths[ep1] = old
	inSync(t, f, newTestDriver(t, f, "boot"))
	if got := f.veths[ep1].Reserved; len(got) != 1 || got[0].String() != "10.0.0.0/24" {
		t.Errorf("reserved: %v", got)
	}
}
