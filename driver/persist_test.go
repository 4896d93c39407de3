package driver

import (
	"maps"
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
	f.Add("network/x", []byte(`{"ID":"x","Options":{"IPv4":true},"Subnet4":"fd00::/64","Gateway4":"10.0.0.1/24"}`))
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
