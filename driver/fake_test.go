package driver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"sync"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

var errInjected = errors.New("injected fault")

// fakeHost stands for the kernel, the host's ports and the store. It keeps
// what it is told, and can fail the n-th operation.
type fakeHost struct {
	mu      sync.Mutex
	bridges map[string]spec.Bridge
	veths   map[string]spec.Veth // by endpoint
	// objects are those of other kinds.
	objects fakeRules
	// outside are the endpoints both ends of whose pair are the host's.
	outside map[string]bool
	// noIPv6 are those whose container has IPv6 switched off.
	noIPv6 map[string]bool
	rules  fakeRules
	// running counts changes of policies under running containers.
	running int
	// told are the rules that there should be; nil for those that there are.
	told fakeRules
	// listening is where the host listens, deaf has it not tell.
	listening map[spec.Listener]bool
	deaf      bool
	// shadowed are the published ports that a range had at some moment.
	shadowed []string
	// uplinks are the links that lead outside.
	uplinks []spec.Outside
	// uplink is the MTU of the way out.
	uplink int
	// prefixes are those that the host has, renumbered counts looks at flows for a change of them.
	prefixes   []spec.HostPrefix
	renumbered int
	// blind has the host not tell its uplinks.
	blind bool
	held  map[string][]spec.Published
	// busy are ports that somebody else holds.
	busy      map[uint16]bool
	lacksIPv6 bool
	stored    map[string][]byte
	foreign   map[string]spec.BridgeInfo
	// elsewhere are addresses of links that are no bridges.
	elsewhere []spec.LinkAddress
	dropped   []netip.Addr
	// occupied are addresses that machines on adopted bridges use, asked the
	// addresses that were asked for.
	occupied map[netip.Addr]net.HardwareAddr
	asked    []netip.Addr
	// unheard is why nobody can be asked; nil for nothing.
	unheard error
	// facts are the addresses and links that the host has, and the ways that it knows.
	facts map[string]string
	// routing are the rules of policy routing, and outs the links by which tables lead.
	routing map[bool][]spec.RoutingRule
	outs    map[uint32]string
	// paths counts what was asked of them.
	paths int
	// off are the families that the host does not forward, turned what was turned on.
	off, turned firewall.Families
	// failAt fails the operation of that number, counting from 1; 0 for none.
	failAt, ops int
	// failFrom fails all operations from that number on; 0 for none.
	failFrom int
}

func newFakeHost() *fakeHost {
	return &fakeHost{
		bridges: map[string]spec.Bridge{},
		veths:   map[string]spec.Veth{},
		outside: map[string]bool{},
		noIPv6:  map[string]bool{},
		objects: fakeRules{},
		rules:   fakeRules{},
		uplinks: []spec.Outside{{Name: "eth0"}},
		held:    map[string][]spec.Published{},
		stored:  map[string][]byte{},
		foreign: map[string]spec.BridgeInfo{},
	}
}

// step locks the host for one operation, or fails it.
func (f *fakeHost) step() (unlock func(), err error) {
	f.mu.Lock()
	f.ops++
	if f.ops == f.failAt || f.failFrom != 0 && f.ops >= f.failFrom {
		f.mu.Unlock()
		return nil, errInjected
	}
	return f.mu.Unlock, nil
}

func (f *fakeHost) Outside(context.Context) ([]spec.Outside, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.blind {
		return nil, errInjected
	}
	return slices.Clone(f.uplinks), nil
}

func (f *fakeHost) EnsureBridge(_ context.Context, b spec.Bridge) ([]string, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if reflect.DeepEqual(f.bridges[b.Name], b) {
		return nil, nil
	}
	f.bridges[b.Name] = b
	return []string{"bridge " + b.Name}, nil
}

func (f *fakeHost) HostAddresses(context.Context) (map[netip.Addr]bool, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	have := map[netip.Addr]bool{}
	for text := range f.facts {
		if a, err := netip.ParseAddr(text); err == nil {
			have[a] = true
		}
	}
	return have, nil
}

func (f *fakeHost) HasLink(_ context.Context, name string) (bool, error) {
	unlock, err := f.step()
	if err != nil {
		return false, err
	}
	defer unlock()
	_, ok := f.facts[name]
	return ok, nil
}

func (f *fakeHost) LinkTo(_ context.Context, addr netip.Addr) (string, error) {
	unlock, err := f.step()
	if err != nil {
		return "", err
	}
	defer unlock()
	return f.facts["to "+addr.String()], nil
}

func (f *fakeHost) DeleteBridge(_ context.Context, b spec.Bridge) error {
	unlock, err := f.step()
	if err != nil {
		return err
	}
	defer unlock()
	delete(f.bridges, b.Name)
	return nil
}

func (f *fakeHost) EnsureVeth(_ context.Context, v spec.Veth) ([]string, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if _, there := f.veths[v.EndpointID]; v.Detached && !there {
		return nil, nil
	}
	_, first := f.bridges[v.HostBridge()]
	_, further := f.objects[ruleID{spec.KindFurtherBridge, v.Bridge}]
	if (!first || v.First != "" && !further) && !v.Detached {
		return nil, fmt.Errorf("bridge %s is missing", v.Bridge)
	}
	if reflect.DeepEqual(f.veths[v.EndpointID], v) {
		return nil, nil
	}
	f.veths[v.EndpointID] = v
	return []string{"veth " + v.Host}, nil
}

func (f *fakeHost) DeleteVeth(_ context.Context, v spec.Veth) error {
	unlock, err := f.step()
	if err != nil {
		return err
	}
	defer unlock()
	delete(f.veths, v.EndpointID)
	return nil
}

func (f *fakeHost) LacksIPv6(_ context.Context, v spec.Veth) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.noIPv6[v.EndpointID], nil
}

func (f *fakeHost) EnableForwarding(_ context.Context, v4, v6 bool) ([]string, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	on := firewall.Families{V4: v4 && f.off.V4, V6: v6 && f.off.V6}
	f.off, f.turned = f.off.Without(on), f.turned.With(on)
	return nil, nil
}

func (f *fakeHost) Forwarding(_ context.Context, six bool) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.off.Has(six), nil
}

func (f *fakeHost) InspectBridge(_ context.Context, name string, _ []netip.Prefix) (spec.BridgeInfo, error) {
	unlock, err := f.step()
	if err != nil {
		return spec.BridgeInfo{}, err
	}
	defer unlock()
	if b, ok := f.bridges[name]; ok {
		return spec.BridgeInfo{Exists: true, Kind: "bridge", Owner: b.NetworkID, MAC: bridgeMAC(), Elsewhere: f.elsewhere}, nil
	}
	info := f.foreign[name]
	info.Elsewhere = f.elsewhere
	return info, nil
}

func (f *fakeHost) Veths(context.Context) (map[string]spec.VethInfo, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	out := map[string]spec.VethInfo{}
	for id, v := range f.veths {
		is := spec.VethInfo{Host: v.Host, Peer: v.Peer, Moved: !f.outside[id], Bridge: v.Bridge, NetworkID: f.bridges[v.Bridge].NetworkID}
		if b, further := f.objects[ruleID{spec.KindFurtherBridge, v.Bridge}].(spec.FurtherBridge); further {
			is.NetworkID, is.Further = b.NetworkID, b.Number
		}
		out[id] = is
	}
	return out, nil
}

func (f *fakeHost) Occupied(_ context.Context, _ string, addrs []netip.Addr) (map[netip.Addr]net.HardwareAddr, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	f.asked = append(f.asked, addrs...)
	return f.occupied, f.unheard
}

func (f *fakeHost) Prune(_ context.Context, bridges []spec.Bridge, veths []spec.Veth) ([]string, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var removed []string
	for name := range f.bridges {
		if !slices.ContainsFunc(bridges, func(b spec.Bridge) bool { return b.Name == name }) {
			delete(f.bridges, name)
			removed = append(removed, name)
		}
	}
	for id := range f.veths {
		if !slices.ContainsFunc(veths, func(v spec.Veth) bool { return v.EndpointID == id }) {
			delete(f.veths, id)
			removed = append(removed, id)
		}
	}
	return removed, nil
}

func (f *fakeHost) DropAddresses(_ context.Context, addrs []netip.Addr) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dropped = append(f.dropped, addrs...)
	return nil
}

func (f *fakeHost) DropTranslated(context.Context, []netip.Addr) error { return nil }

func (f *fakeHost) DropPorts(context.Context, []spec.Published) error { return nil }

// Reserve gives the first port asked for, or 40000 and up, and refuses what
// another owner holds.
func (f *fakeHost) Reserve(_ context.Context, owner string, want []spec.PortRequest) ([]spec.Published, error) {
	unlock, err := f.step()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var runs []spec.Published
	for _, w := range want {
		port := w.First
		if port == 0 {
			port = 40000 + uint16(len(f.held))
		}
		for other, held := range f.held {
			for _, h := range held {
				if other != owner && h.Proto == w.Proto && h.First <= port && port <= h.Last {
					return nil, fmt.Errorf("port %d is held by %s", port, model.Short(other))
				}
			}
		}
		for _, ip := range w.HostIPs {
			to := w.Container4
			if ip.Is6() && w.Container6.IsValid() || !to.IsValid() {
				to = w.Container6
			}
			runs = append(runs, spec.Published{Proto: w.Proto, HostIP: ip, First: port, Last: port, ContainerIP: to, ContainerFirst: w.ContainerPort})
		}
	}
	f.bind(owner, runs)
	return runs, nil
}

func (f *fakeHost) Trim(p spec.HostPorts) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(p.Runs) == 0 {
		delete(f.held, p.Sandbox)
		return
	}
	var kept []spec.Published
	for _, r := range p.Runs {
		if holdsPort(f.held[p.Sandbox], r.Published) {
			kept = append(kept, r.Published)
		}
	}
	f.held[p.Sandbox] = kept
}

func (f *fakeHost) Load(visit func(string, []byte) error) error {
	f.mu.Lock()
	stored := maps.Clone(f.stored)
	f.mu.Unlock()
	// The order is chosen to be the worst: endpoints before their networks.
	for _, k := range slices.Sorted(maps.Keys(stored)) {
		if err := visit(k, stored[k]); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeHost) Update(changes map[string][]byte) error {
	unlock, err := f.step()
	if err != nil {
		return err
	}
	defer unlock()
	for k, v := range changes {
		if v == nil {
			delete(f.stored, k)
		} else {
			f.stored[k] = v
		}
	}
	return nil
}

// reboot takes away what a reboot takes away.
func (f *fakeHost) reboot() {
	clear(f.bridges)
	clear(f.veths)
	clear(f.objects)
	clear(f.rules)
	clear(f.held)
}
