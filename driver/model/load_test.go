package model_test

import (
	"maps"
	"net/netip"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

const netID, endpointID = "aaaaaaaaaaaa1111", "111111111111eeee"

// stored is a state as this version writes it: a network and an endpoint with ports.
func stored(t testing.TB) map[string][]byte {
	t.Helper()
	options, err := config.ParseNetwork(nil)
	if err != nil {
		t.Fatal(err)
	}
	values, err := model.Values(model.Change{
		Network: model.NetworkChange{After: &model.Network{
			ID: netID, Options: options, Bridge: "gw-aaaaaaaaaaaa",
			Subnet4: netip.MustParsePrefix("10.0.0.0/24"), Gateway4: netip.MustParsePrefix("10.0.0.1/24"),
		}},
		Endpoints: []model.EndpointChange{{After: &model.Endpoint{
			ID: endpointID, NetworkID: netID, IPv4: netip.MustParsePrefix("10.0.0.2/24"),
			MAC: model.HardwareAddr{2, 0x42, 10, 0, 0, 2}, MACChosen: true, Sandbox: "/netns/1",
			Publish: config.Publish{Bindings: []config.PortBinding{{Proto: 6, Port: 80, HostPort: 8080, HostPortEnd: 8080}}},
			Published: []spec.Published{{
				Proto: spec.TCP, HostIP: netip.IPv4Unspecified(), First: 8080, Last: 8080,
				ContainerIP: netip.MustParseAddr("10.0.0.2"), ContainerFirst: 80,
			}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Encode(values, model.HostKey, model.HostRecord{BootID: "boot"}); err != nil {
		t.Fatal(err)
	}
	return values
}

// visit tells each value, as a store does.
func visit(values map[string][]byte) func(func(string, []byte) error) error {
	return func(do func(string, []byte) error) error {
		for key, value := range values {
			if err := do(key, value); err != nil {
				return err
			}
		}
		return nil
	}
}

// FuzzLoad: whatever a stored value is, it is refused, or it can be compiled and
// is what would be stored again.
func FuzzLoad(f *testing.F) {
	base := stored(f)
	if s, err := model.Load(visit(base)); err != nil || len(s.Networks) != 1 || len(s.Endpoints) != 1 || s.Host.BootID != "boot" {
		f.Fatalf("loaded %+v, %+v, %v", s, s.Host, err)
	}
	for key, value := range base {
		f.Add(key, value)
	}
	f.Add("network/x", []byte(`{"ID":"x","Options":{"IPv4":true,"Given":{"com.docker.network.bridge.enable_icc":"0"}},"Subnet4":"fd00::/64","Gateway4":"10.0.0.1/24"}`))
	f.Add("endpoint/x", []byte(`{"ID":"x","NetworkID":"`+netID+`","MAC":"","Sandbox":"s","Published":[{"First":9,"Last":1}]}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		values := maps.Clone(base)
		values[key] = value
		s, err := model.Load(visit(values))
		if err != nil {
			return
		}
		for _, e := range s.Endpoints {
			if s.Orphaned(e) {
				s.Apply(model.Change{Endpoints: []model.EndpointChange{{Before: e}}})
			}
		}
		plan.Compile(s, plan.Facts{})
		again := map[string][]byte{}
		for _, n := range s.Networks {
			if err := model.Encode(again, model.NetworkKeys+n.ID, n); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range s.Endpoints {
			if err := model.Encode(again, model.EndpointKeys+e.ID, e); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := model.Load(visit(again)); err != nil {
			t.Fatalf("%s=%s is read, but not what is written of it: %v", key, value, err)
		}
	})
}
