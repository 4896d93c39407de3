package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/ipam"
)

// held is a pool that was held when it was requested.
var held = netip.MustParsePrefix("10.99.0.0/24")

// recorder is all three domains: it writes down the calls, checks that each of
// them holds, and answers like an address manager with the pools of the
// recordings.
type recorder struct {
	mu      sync.Mutex
	calls   []string
	invalid []string
	// hook is asked before each answer; it may fail, wait or panic.
	hook func(ctx context.Context, op string) error
	// status and the lists answer the admin API.
	status       driver.Status
	endpointsErr error
	ports        []driver.PortStatus
	events       []events.Event
	// waiting says that somebody waits for an event.
	waiting atomic.Bool
}

func (r *recorder) record(ctx context.Context, op, format string, args ...any) error {
	r.mu.Lock()
	r.calls = append(r.calls, strings.TrimRight(op+" "+fmt.Sprintf(format, args...), " "))
	hook := r.hook
	r.mu.Unlock()
	if hook != nil {
		return hook(ctx, op)
	}
	return nil
}

// need notes a call that should never have come.
func (r *recorder) need(ok bool, format string, args ...any) {
	if ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.invalid = append(r.invalid, fmt.Sprintf(format, args...))
}

// take returns the calls since the last time.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls := r.calls
	r.calls = nil
	return calls
}

func (r *recorder) setHook(hook func(ctx context.Context, op string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hook = hook
}

func (r *recorder) CreateNetwork(ctx context.Context, q driver.CreateNetworkRequest) error {
	r.need(q.ID != "", "CreateNetwork without id")
	r.checkPools(q.IPv4, false)
	r.checkPools(q.IPv6, true)
	return r.record(ctx, "CreateNetwork", "%s options=%s v4=%s v6=%s", q.ID, brief(q.Options), pools(q.IPv4), pools(q.IPv6))
}

func (r *recorder) checkPools(list []driver.PoolData, v6 bool) {
	r.need(len(list) <= 1, "%d pools", len(list))
	for _, p := range list {
		r.need(p.Subnet.IsValid() && p.Subnet == p.Subnet.Masked() && p.Subnet.Bits() > 0, "subnet %s", p.Subnet)
		r.need(p.Subnet.Addr().Is6() == v6 && !p.Subnet.Addr().Is4In6(), "family of %s", p.Subnet)
		members := []netip.Prefix{p.Gateway}
		for _, aux := range p.Aux {
			members = append(members, aux)
			r.need(aux.IsValid(), "aux %s", aux)
		}
		for _, m := range members {
			r.need(!m.IsValid() || p.Subnet.Contains(m.Addr()) && m.Bits() == p.Subnet.Bits(), "%s in %s", m, p.Subnet)
		}
	}
}

func (r *recorder) DeleteNetwork(ctx context.Context, id string) error {
	r.need(id != "", "DeleteNetwork without id")
	return r.record(ctx, "DeleteNetwork", "%s", id)
}

func (r *recorder) CheckGateway(ctx context.Context, options map[string]any) (driver.GatewayCheck, error) {
	return driver.GatewayCheck{SkipIPv6: true}, r.record(ctx, "CheckGateway", "options=%s", brief(options))
}

func (r *recorder) CreateEndpoint(ctx context.Context, q driver.CreateEndpointRequest) (driver.CreateEndpointResult, error) {
	r.ids(q.NetworkID, q.EndpointID)
	r.need(!q.IPv4.IsValid() || q.IPv4.Addr().Is4(), "IPv4 %s", q.IPv4)
	r.need(!q.IPv6.IsValid() || q.IPv6.Addr().Is6() && !q.IPv6.Addr().Is4In6(), "IPv6 %s", q.IPv6)
	r.need(len(q.MAC) == 0 || len(q.MAC) == 6, "MAC %s", q.MAC)
	err := r.record(ctx, "CreateEndpoint", "%s %s v4=%s v6=%s mac=%s options=%s", q.NetworkID, q.EndpointID, q.IPv4, q.IPv6, q.MAC, brief(decoded(q.Options)))
	// The driver answers only what was left to it; this one always does.
	return driver.CreateEndpointResult{MAC: net.HardwareAddr{2, 0x42, 1, 2, 3, 4}}, err
}

func (r *recorder) ids(network, endpoint string) {
	r.need(network != "" && endpoint != "", "ids %q %q", network, endpoint)
}

func (r *recorder) DeleteEndpoint(ctx context.Context, n, e string) error {
	r.ids(n, e)
	return r.record(ctx, "DeleteEndpoint", "%s %s", n, e)
}

func (r *recorder) Join(ctx context.Context, n, e, key string, options config.EndpointOptions) (driver.JoinResult, error) {
	r.ids(n, e)
	r.need(key != "", "Join without key")
	// What the ports look like is for the driver.
	asked, _ := config.ParsePublish(options)
	return driver.JoinResult{
		SrcName: "gp-" + e, DstPrefix: "eth",
		Gateway4: netip.MustParseAddr("10.50.0.1"), DisableGatewayService: true,
	}, r.record(ctx, "Join", "%s %s %s ports=%d", n, e, key, len(asked.Bindings))
}

func (r *recorder) Leave(ctx context.Context, n, e string) error {
	r.ids(n, e)
	return r.record(ctx, "Leave", "%s %s", n, e)
}

func (r *recorder) Publish(ctx context.Context, n, e string, options config.EndpointOptions) error {
	r.ids(n, e)
	return r.record(ctx, "Publish", "%s %s options=%s", n, e, brief(decoded(options)))
}

func (r *recorder) Unpublish(ctx context.Context, n, e string) error {
	r.ids(n, e)
	return r.record(ctx, "Unpublish", "%s %s", n, e)
}

func (r *recorder) RequestPool(ctx context.Context, q ipam.PoolRequest) (ipam.Pool, error) {
	r.need(q.Space != "", "pool without space")
	r.need(!q.SubPool.IsValid() || q.Pool.IsValid() && q.SubPool.Addr().Is4() == q.Pool.Addr().Is4(), "sub-pool %s of %s", q.SubPool, q.Pool)
	r.need(q.Pool == q.Pool.Masked() && !q.Pool.Addr().Is4In6(), "pool %s", q.Pool)
	subnet := q.Pool
	if !subnet.IsValid() {
		subnet = netip.MustParsePrefix("10.14.0.0/24")
	}
	err := r.record(ctx, "RequestPool", "%s %s sub=%s v6=%t options=%v", q.Space, q.Pool, q.SubPool, q.V6, q.Options)
	return ipam.Pool{ID: "l/" + subnet.String(), Subnet: subnet}, err
}

func (r *recorder) ReleasePool(ctx context.Context, id string) error {
	r.need(id != "", "ReleasePool without id")
	return r.record(ctx, "ReleasePool", "%s", id)
}

func (r *recorder) RequestAddress(ctx context.Context, q ipam.AddressRequest) (netip.Prefix, error) {
	r.need(q.PoolID != "" && !q.Address.Is4In6() && q.Address.Zone() == "", "RequestAddress %+v", q)
	_, text, _ := strings.Cut(q.PoolID, "/")
	pool, err := netip.ParsePrefix(text)
	if err != nil {
		pool = netip.MustParsePrefix("10.14.0.0/24")
	}
	addr := q.Address
	if !addr.IsValid() {
		addr = pool.Addr().Next().Next()
	}
	return netip.PrefixFrom(addr, pool.Bits()), r.record(ctx, "RequestAddress", "%s %s gateway=%t", q.PoolID, q.Address, q.Gateway)
}

func (r *recorder) ReleaseAddress(ctx context.Context, pool string, addr netip.Addr) error {
	r.need(pool != "" && addr.IsValid() && !addr.Is4In6(), "ReleaseAddress %q %s", pool, addr)
	return r.record(ctx, "ReleaseAddress", "%s %s", pool, addr)
}

func (r *recorder) Greet() { _ = r.record(context.Background(), "Greet", "") }

func (r *recorder) Fresh(subnet netip.Prefix) bool { return subnet != held }

func (r *recorder) RetainPool(subnet netip.Prefix, addrs []netip.Addr) {
	_ = r.record(context.Background(), "RetainPool", "%s %v", subnet, addrs)
}

// LeasedBy is asked for each pool of gangway's, and has no part in what is recorded.
func (r *recorder) LeasedBy(netip.Prefix) string { return "" }

func (r *recorder) RetainAddresses(subnet netip.Prefix, addrs []netip.Addr) {
	_ = r.record(context.Background(), "RetainAddresses", "%s %v", subnet, addrs)
}

// inspector keeps the admin API's names apart from those of the domains.
type inspector struct{ r *recorder }

func (i inspector) Status(context.Context) driver.Status {
	i.r.mu.Lock()
	defer i.r.mu.Unlock()
	return i.r.status
}

func (i inspector) Networks(context.Context) []driver.NetworkStatus { return nil }

func (i inspector) Endpoints(context.Context) ([]driver.EndpointStatus, error) {
	return nil, i.r.endpointsErr
}

// Events waits as the driver does.
func (i inspector) Events(ctx context.Context, after uint64, wait time.Duration) []events.Event {
	if after < uint64(len(i.r.events)) {
		return i.r.events[after:]
	}
	if wait > 0 {
		i.r.waiting.Store(true)
		<-ctx.Done()
	}
	return nil
}

func (i inspector) Ports(context.Context) []driver.PortStatus { return i.r.ports }

// decoded are the values of an endpoint's options.
func decoded(options config.EndpointOptions) map[string]any {
	values := map[string]any{}
	for name, raw := range options {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			v = err
		}
		values[name] = v
	}
	return values
}

// brief shows options with lists as their length.
func brief(options map[string]any) string {
	var words []string
	for key, value := range options {
		if l, ok := value.([]any); ok {
			value = fmt.Sprintf("[%d]", len(l))
		}
		words = append(words, fmt.Sprintf("%s=%v", strings.TrimPrefix(key, "com.docker.network."), value))
	}
	slices.Sort(words)
	return "{" + strings.Join(words, " ") + "}"
}

func pools(list []driver.PoolData) string {
	var words []string
	for _, p := range list {
		words = append(words, fmt.Sprintf("%s gw=%s aux=%v", p.Subnet, p.Gateway, p.Aux))
	}
	return "[" + strings.Join(words, "; ") + "]"
}
