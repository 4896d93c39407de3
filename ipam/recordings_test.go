package ipam

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// call is what the recordings hold of the calls that concern addresses.
type call struct {
	name string
	body struct {
		Pool, SubPool, PoolID string
		V6                    bool
		Address               string
		Options               map[string]any
		IPv4Data, IPv6Data    []struct{ Gateway string }
		Interface             struct{ Address, AddressIPv6 string }
	}
}

func readRecording(t *testing.T, file string) []call {
	t.Helper()
	b, err := os.ReadFile("../plugin/testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var calls []call
	for line := range strings.Lines(string(b)) {
		name, body, _ := strings.Cut(strings.TrimSpace(line), " ")
		c := call{name: strings.TrimPrefix(name, "/")}
		if body != "" && strings.HasPrefix(name, "/") {
			if err := json.Unmarshal([]byte(body), &c.body); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		}
		calls = append(calls, c)
	}
	return calls
}

// player plays a recording. The recorded stub chose other pools, addresses and
// ids; known translates its answers into ours.
type player struct {
	t     *testing.T
	store *memory
	a     *Allocator
	calls []call
	// ranges are what the recorded stub chose pools from.
	ranges []config.PoolRange
	// pools are by recorded subnet.
	pools map[netip.Prefix]Pool
	known map[netip.Addr]netip.Addr
	// last is what the container of a name had of a pool.
	last map[string]netip.Addr
	// again counts who had an address before and got it again.
	again int
}

// chosen finds, in the calls after i, the address of the recorded pool that the
// recorded stub chose when it was asked.
func (p *player) chosen(i int, pool netip.Prefix) netip.Addr {
	for _, c := range p.calls[i+1:] {
		texts := []string{c.body.Interface.Address, c.body.Interface.AddressIPv6}
		for _, d := range append(c.body.IPv4Data, c.body.IPv6Data...) {
			texts = append(texts, d.Gateway)
		}
		for _, s := range texts {
			if a, err := netip.ParsePrefix(s); err == nil && pool.Contains(a.Addr()) {
				return a.Addr()
			}
		}
	}
	p.t.Fatalf("call %d: nothing tells the address chosen in %s", i, pool)
	return netip.Addr{}
}

// recordedPool is the subnet in an id of a pool, which is SPACE/SUBNET or
// SPACE/SUBNET/RANGE.
func recordedPool(id string) netip.Prefix {
	parts := strings.Split(id, "/")
	return pfx(parts[1] + "/" + parts[2])
}

func (p *player) pool(id string) string { return p.pools[recordedPool(id)].ID }

func (p *player) open() { p.a = open(p.t, p.store, p.ranges...) }

func (p *player) play(i int) {
	ctx, c := context.Background(), p.calls[i]
	var err error
	switch c.name {
	case "===", "#":
		// Every restart of the engine is one of the managed plugin as well.
		p.open()
	case "IpamDriver.GetCapabilities":
		p.a.Greet()
	case "IpamDriver.RequestPool":
		err = p.requestPool(i)
	case "IpamDriver.RequestAddress":
		err = p.requestAddress(i)
	case "IpamDriver.ReleaseAddress":
		held := inUse(p.t, p.a, p.pool(c.body.PoolID))
		err = p.a.ReleaseAddress(ctx, p.pool(c.body.PoolID), p.known[ip(c.body.Address)])
		if now := inUse(p.t, p.a, p.pool(c.body.PoolID)); now != held-1 {
			p.t.Errorf("call %d: %d addresses before the release of %s, %d after it", i, held, c.body.Address, now)
		}
	case "IpamDriver.ReleasePool":
		if n := inUse(p.t, p.a, p.pool(c.body.PoolID)); n != 0 {
			p.t.Errorf("call %d: %d addresses left in %s", i, n, c.body.PoolID)
		}
		err = p.a.ReleasePool(ctx, p.pool(c.body.PoolID))
	}
	if err != nil {
		p.t.Fatalf("call %d, %s: %v", i, c.name, err)
	}
}

func (p *player) requestPool(i int) error {
	body := p.calls[i].body
	req := PoolRequest{Space: LocalSpace, V6: body.V6, Pool: pfx(body.Pool), SubPool: pfx(body.SubPool)}
	got, err := p.a.RequestPool(context.Background(), req)
	recorded := got.Subnet
	if before, again := p.pools[recorded]; again && before != got {
		p.t.Errorf("call %d: pool %v, before %v", i, got, before)
	}
	p.pools[recorded] = got
	return err
}

func (p *player) requestAddress(i int) error {
	body := p.calls[i].body
	req := AddressRequest{PoolID: p.pool(body.PoolID), Gateway: body.Options["RequestAddressType"] != nil}
	name, _ := body.Options[optionEndpointName].(string)
	if name != "" {
		req.Options = map[string]string{optionEndpointName: name}
	}
	recorded := ip(body.Address)
	if body.Address == "" {
		recorded = p.chosen(i, recordedPool(body.PoolID))
	} else if req.Address = p.known[recorded]; !req.Address.IsValid() {
		req.Address = recorded
	}
	got, err := p.a.RequestAddress(context.Background(), req)
	if req.Address.IsValid() && got.Addr() != req.Address {
		p.t.Errorf("call %d: address %s, want %s", i, got, req.Address)
	}
	p.known[recorded] = got.Addr()
	if name != "" {
		whose := req.PoolID + " " + name
		if before, had := p.last[whose]; had && before != got.Addr() {
			p.t.Errorf("call %d: %s has address %s, before %s", i, whose, got, before)
		} else if had {
			p.again++
		}
		p.last[whose] = got.Addr()
	}
	return err
}

// TestRecordings: what engines sent is granted, their repetitions get what they had,
// nothing is left that was released, and who was named has the same address each time.
func TestRecordings(t *testing.T) {
	// The recordings of engine 29 are of a driver that chose as Gangway does.
	stub := []config.PoolRange{rng("10.14.0.0/16", 24)}
	gangways := []config.PoolRange{rng("10.200.0.0/13", 24), rng("fd67:7761:7900::/48", 64)}
	for _, c := range []struct {
		file string
		// left is how many pools and addresses the end of the recording holds, and again
		// how many containers that the engine named got what they had before.
		pools, addresses, again int
	}{
		{"engine-29-container-life.txt", 0, 0, 3},
		{"engine-29-restarts.txt", 0, 0, 4},
		{"engine-28.5-container-life.txt", 0, 0, 0},
		{"engine-28.5-restarts.txt", 0, 0, 0},
		{"engine-20.10-restarts.txt", 1, 3, 0},
	} {
		t.Run(c.file, func(t *testing.T) {
			p := &player{t: t, store: newMemory(), calls: readRecording(t, c.file),
				pools: map[netip.Prefix]Pool{}, known: map[netip.Addr]netip.Addr{}, last: map[string]netip.Addr{}}
			if p.ranges = stub; strings.HasPrefix(c.file, "engine-29") {
				p.ranges = gangways
			}
			p.open()
			verbs := 0
			for i := range p.calls {
				if strings.HasPrefix(p.calls[i].name, "IpamDriver.Re") {
					verbs++
				}
				p.play(i)
			}
			if verbs < 10 {
				t.Fatalf("only %d verbs in the recording", verbs)
			}
			if p.again != c.again {
				t.Errorf("%d containers got again what they had, want %d", p.again, c.again)
			}
			addresses := 0
			for _, pool := range p.a.Pools() {
				addresses += pool.InUse
			}
			if n := len(p.a.Pools()); n != c.pools || addresses != c.addresses {
				t.Errorf("%d pools and %d addresses at the end, want %d and %d", n, addresses, c.pools, c.addresses)
			}
		})
	}
}
