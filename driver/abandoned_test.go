package driver

import "testing"

// TestAbandonedNetworkMakesRoom: a network whose removal was lost gives way to
// the one that has its subnet now, and nothing else does.
func TestAbandonedNetworkMakesRoom(t *testing.T) {
	request := func(id, subnet, gateway, space string, exclusive bool) CreateNetworkRequest {
		r := networkRequest(id, subnet, gateway)
		r.IPv4[0].Space, r.Exclusive = space, exclusive
		return r
	}
	const (
		never = iota
		named
		gone
	)
	for name, c := range map[string]struct {
		// oldSpace is the older network's, and used says that it has an endpoint.
		oldSpace string
		used     bool
		// named says that an engine has named it as its own; gone, that it did so before,
		// and not any more.
		named   int
		next    CreateNetworkRequest
		refused bool
	}{
		"abandoned":              {"s", false, never, request(netB, "10.0.0.0/24", "10.0.0.1", "s", true), false},
		"abandoned, larger":      {"s", false, never, request(netB, "10.0.0.0/16", "10.0.0.1", "s", true), false},
		"not known to be":        {"s", false, never, request(netB, "10.0.0.0/24", "10.0.0.1", "s", false), true},
		"in use":                 {"s", true, never, request(netB, "10.0.0.0/24", "10.0.0.1", "s", true), true},
		"an engine's":            {"LocalDefault", false, named, request(netB, "10.0.0.0/24", "10.0.0.1", "LocalDefault", true), true},
		"an engine's, larger":    {"LocalDefault", false, named, request(netB, "10.0.0.0/16", "10.0.0.1", "LocalDefault", true), true},
		"an engine's once":       {"LocalDefault", false, gone, request(netB, "10.0.0.0/24", "10.0.0.1", "LocalDefault", true), false},
		"of another space":       {"x", false, never, request(netB, "10.0.0.0/24", "10.0.0.1", "s", true), true},
		"of an unknown space":    {"", false, never, request(netB, "10.0.0.0/24", "10.0.0.1", "", true), true},
		"with another subnet":    {"s", false, never, request(netB, "10.0.1.0/24", "10.0.1.1", "s", true), false},
		"the same network again": {"s", false, never, request(netA, "10.0.0.0/24", "10.0.0.1", "s", true), false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeHost()
			d := newTestDriver(t, f, "boot")
			ctx := t.Context()
			must(t, d.CreateNetwork(ctx, request(netA, "10.0.0.0/24", "10.0.0.1", c.oldSpace, true)))
			if c.used {
				must(t, endpointErr(d.CreateEndpoint(ctx, endpointRequest(netA, ep1, "10.0.0.2/24"))))
			}
			if c.named != never {
				claimed(t, d, inventory(netA), []string{netA}, nil)
			}
			if c.named == gone {
				claimed(t, d, inventory(), nil, []string{netA})
				claimed(t, d, Inventory{Engine: otherEngine}, nil, nil) // has nothing to say about it
			}
			if err := d.CreateNetwork(ctx, c.next); (err != nil) != c.refused {
				t.Errorf("refused: %v, want %t", err, c.refused)
			}
			_, stays := d.state().Networks[netA]
			if want := name != "abandoned" && name != "abandoned, larger" && name != "an engine's once"; stays != want {
				t.Errorf("the older network is there: %t, want %t", stays, want)
			}
			inSync(t, f, d)
		})
	}
}
