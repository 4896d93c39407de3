package driver

import (
	"maps"
	"strings"
	"testing"
)

// stored is a state as this version writes it: a network with all options and
// an endpoint with ports.
func stored(t testing.TB) map[string][]byte {
	t.Helper()
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	must(t,
		d.CreateNetwork(t.Context(), networkRequest(netA, "10.0.0.0/24", "10.0.0.1")),
		endpointErr(d.CreateEndpoint(t.Context(), endpointRequest(netA, ep1, "10.0.0.2/24"))),
		joinErr(d.Join(t.Context(), netA, ep1, "/netns/1", nil)),
		d.Publish(t.Context(), netA, ep1, portmap(8080, 80, 9090, 90)))
	return f.stored
}

// FuzzLoad: whatever a stored value is, it is refused, or it can be compiled and
// is what would be stored again.
func FuzzLoad(f *testing.F) {
	base := stored(f)
	for key, value := range base {
		f.Add(key, value)
	}
	f.Add("network/x", []byte(`{"ID":"x","Options":{"IPv4":true,"Given":{"com.docker.network.bridge.enable_icc":"0"}},"Subnet4":"fd00::/64","Gateway4":"10.0.0.1/24"}`))
	f.Add("endpoint/x", []byte(`{"ID":"x","NetworkID":"`+netA+`","MAC":"","Sandbox":"s","Published":[{"First":9,"Last":1}]}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		host := newFakeHost()
		host.stored = maps.Clone(base)
		host.stored[key] = value
		s, _, err := load(host)
		if err != nil {
			return
		}
		for _, e := range s.endpoints {
			if s.orphaned(e) {
				s.apply(change{endpoints: []endpointChange{{before: e}}})
			}
		}
		compile(s, facts{})
		again := newFakeHost()
		for _, n := range s.networks {
			if err := encode(again.stored, networkKey+n.ID, n); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range s.endpoints {
			if err := encode(again.stored, EndpointKeys+e.ID, e); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := load(again); err != nil {
			t.Fatalf("%s=%s is read, but not what is written of it: %v", key, value, err)
		}
	})
}

// TestStoredOptions: options are stored as the user gave them. One that is no longer
// taken is an error that names it and the network; so is a network without.
func TestStoredOptions(t *testing.T) {
	const name = "com.docker.network.bridge.enable_icc"
	f := newFakeHost()
	d := newTestDriver(t, f, "boot")
	r := networkRequest(netA, "10.0.0.0/24", "10.0.0.1")
	r.Options = generic(name, "F")
	must(t, d.CreateNetwork(t.Context(), r))
	key := networkKey + netA
	text := string(f.stored[key])
	if !strings.Contains(text, `"Options":{"Internal":false,"IPv4":true,"IPv6":false,"Given":{"`+name+`":"F"}}`) {
		t.Errorf("stored: %s", text)
	}
	s, _, err := load(f)
	must(t, err)
	if n := s.networks[netA]; n.Options.ICC || n.Options.IfacePrefix != "eth" {
		t.Errorf("loaded: %+v", n)
	}
	// Other words for the same are no contradiction, and do not take its place.
	r.Options = generic(name, "false", "com.docker.network.driver.mtu", "0")
	must(t, d.CreateNetwork(t.Context(), r))
	if again := string(f.stored[key]); again != text {
		t.Errorf("stored: %s, before: %s", again, text)
	}
	for _, c := range []struct{ old, fresh, part string }{
		{`"F"`, `"maybe"`, `network option ` + name + `: "maybe" is neither true nor false: another version of gangway has taken it`},
		{name, "gangway.gone", `unknown network option "gangway.gone"`},
		{name, "com.docker.network.bridge.anti_spoofing", "is named gangway.anti_spoofing"},
		{`"IPv4":true`, `"IPv4":false`, "neither IPv4 nor IPv6"},
		{`"IPv4"`, `"Later"`, "unknown field"},
		{`"Options"`, `"Option"`, "unknown field"},
		{`"Options":{"Internal":false,"IPv4":true,"IPv6":false,"Given":{"` + name + `":"F"}},`, "", "has no options"},
	} {
		f.stored[key] = []byte(strings.Replace(text, c.old, c.fresh, 1))
		_, _, err := load(f)
		if err == nil || !strings.Contains(err.Error(), c.part) || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v, want %q", f.stored[key], err, c.part)
		}
	}
}
