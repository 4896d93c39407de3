package ipam

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// memory is a Store that can fail and that can hold an update back.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	// fail makes updates fail.
	fail error
	// gate, if set, is called by each update before it takes effect.
	gate func(changes map[string][]byte)
	// updates counts the transactions.
	updates int
}

func newMemory() *memory { return &memory{values: map[string][]byte{}} }

func (m *memory) Load(visit func(string, []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(m.values)) {
		if err := visit(k, m.values[k]); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Update(changes map[string][]byte) error {
	if m.gate != nil {
		m.gate(changes)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.updates++
	if m.fail != nil {
		return m.fail
	}
	for k, v := range changes {
		if v == nil {
			delete(m.values, k)
		} else {
			m.values[k] = v
		}
	}
	return nil
}

func (m *memory) copy() map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.values)
}

var errDisk = errors.New("disk full")

func nothingUsed(context.Context) ([]netip.Prefix, error) { return nil, nil }

func uses(prefixes ...string) func(context.Context) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, p := range prefixes {
		out = append(out, pfx(p))
	}
	return func(context.Context) ([]netip.Prefix, error) { return out, nil }
}

// pfx and ip take "" for the zero value.
func pfx(s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	return netip.MustParsePrefix(s)
}

func ip(s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return netip.MustParseAddr(s)
}

func rng(base string, size int) config.PoolRange {
	return config.PoolRange{Base: pfx(base), Size: size}
}

func open(t testing.TB, store Store, ranges ...config.PoolRange) *Allocator {
	t.Helper()
	a, err := New(Options{Ranges: ranges, Store: store, Used: nothingUsed})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return a
}

func mustPool(t testing.TB, a *Allocator, pool, sub string) Pool {
	t.Helper()
	p, err := a.RequestPool(context.Background(), PoolRequest{Space: LocalSpace, Pool: pfx(pool), SubPool: pfx(sub)})
	if err != nil {
		t.Fatalf("RequestPool %s %s: %v", pool, sub, err)
	}
	return p
}

func address(a *Allocator, pool, addr string) (netip.Prefix, error) {
	return a.RequestAddress(context.Background(), AddressRequest{PoolID: pool, Address: ip(addr)})
}

func mustAddress(t testing.TB, a *Allocator, pool, addr string) netip.Prefix {
	t.Helper()
	p, err := address(a, pool, addr)
	if err != nil {
		t.Fatalf("RequestAddress %s %s: %v", pool, addr, err)
	}
	return p
}

func mustRelease(t testing.TB, a *Allocator, pool, addr string) {
	t.Helper()
	if err := a.ReleaseAddress(context.Background(), pool, ip(addr)); err != nil {
		t.Fatalf("ReleaseAddress %s %s: %v", pool, addr, err)
	}
}

func mustReleasePool(t testing.TB, a *Allocator, pool string) {
	t.Helper()
	if err := a.ReleasePool(context.Background(), pool); err != nil {
		t.Fatalf("ReleasePool %s: %v", pool, err)
	}
}

// wantErr checks that err is there and has every part of want, separated by "|".
func wantErr(t testing.TB, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", want)
	}
	for part := range strings.SplitSeq(want, "|") {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not contain %q", err, part)
		}
	}
}

func inUse(t testing.TB, a *Allocator, pool string) int {
	t.Helper()
	for _, p := range a.Pools() {
		if p.ID == pool {
			return p.InUse
		}
	}
	t.Fatalf("pool %s is not held", pool)
	return 0
}
