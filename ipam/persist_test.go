package ipam

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/ipam/lease/leasetest"
)

// sound is a store as this version writes it.
func sound(t testing.TB) map[string][]byte {
	store := newMemory()
	a := open(t, store, rng("10.20.0.0/16", 24))
	p := mustPool(t, a, "10.0.0.0/24", "10.0.0.128/25")
	mustAddress(t, a, p.ID, "")
	mustAddress(t, a, p.ID, "10.0.0.9")
	automatic(t, a, false)
	six := mustPool(t, a, "fd00::/64", "")
	mustAddress(t, a, six.ID, "fd00::5")
	mustRelease(t, a, six.ID, mustNamed(t, a, six.ID, "web").String())
	if _, err := a.RequestPool(t.Context(), PoolRequest{Space: LocalSpace, Pool: pfx("10.3.0.0/24"), Options: map[string]string{"gangway.sticky": "false"}}); err != nil {
		t.Fatal(err)
	}
	leasedStore(t, store)
	return store.copy()
}

// leasedStore adds a pool with a lease to a store.
func leasedStore(t testing.TB, store *memory) {
	b, err := New(Options{Store: store, Used: nothingUsed, Server: leasetest.New("10.85.0.0/24", 0)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lanPool(b, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := leased(b, "", "web", macA); err != nil {
		t.Fatal(err)
	}
}

func TestStoredValues(t *testing.T) {
	values := sound(t)
	for _, c := range []struct{ key, value string }{
		{"pool/gangway-local/10.0.0.0/24/10.0.0.128/25", `{"since":"T","next":"10.0.0.129"}`},
		{"address/gangway-local/10.0.0.0/24/10.0.0.128/25|10.0.0.128", `{"since":"T","kind":"chosen"}`},
		{"address/gangway-local/10.0.0.0/24/10.0.0.128/25|10.0.0.9", `{"since":"T","kind":"fixed"}`},
		{"pool/gangway-local/10.20.0.0/24", `{"since":"T","next":"10.20.0.1"}`},
		{"cursor/ipv4", `{"last":"10.20.0.0/24"}`},
		{"pool/gangway-local/fd00::/64", `{"since":"T","next":"fd00::2"}`},
		{"kept/gangway-local/fd00::/64|fd00::1", `{"since":"T","name":"web","turn":1}`},
		{"pool/gangway-local/10.3.0.0/24", `{"since":"T","next":"10.3.0.1","options":{"gangway.sticky":"false"}}`},
		{"address/gangway-local/fd00::/64|fd00::5", `{"since":"T","kind":"fixed"}`},
		{"pool/gangway-local/10.85.0.0/24", `{"since":"T","next":"10.85.0.1","options":{"gangway.dhcp":"eth1"}}`},
		{"address/gangway-local/10.85.0.0/24|10.85.0.2", `{"since":"T","kind":"chosen","name":"web","mac":"02:00:00:00:00:aa"}`},
		{"lease/gangway-local/10.85.0.0/24|10.85.0.2", `{"link":"eth1","mac":"02:00:00:00:00:aa","name":"web","address":"10.85.0.2/24","router":"10.85.0.1","dns":["10.85.0.1"],"server":"10.85.0.1","via":"02:00:00:00:00:01"}`},
	} {
		got := string(values[c.key])
		if _, rest, ok := strings.Cut(got, `"since":"`); ok {
			stamp, _, _ := strings.Cut(rest, `"`)
			got = strings.Replace(got, stamp, "T", 1)
		}
		if got != c.value {
			t.Errorf("%s: %s, want %s", c.key, got, c.value)
		}
		delete(values, c.key)
	}
	if len(values) != 0 {
		t.Errorf("further values: %v", values)
	}
}

func TestGarbageStopsTheStart(t *testing.T) {
	const since = `"since":"2026-01-02T03:04:05Z"`
	base := sound(t)
	for _, c := range []struct{ name, key, value, err string }{
		{"kind of key", "leases/x", "{}", "unknown kind of key"},
		{"empty key", "", "{}", "unknown kind of key"},
		{"pool id", "pool/10.0.0.0/24", "{}", "not of the form"},
		{"pool id not masked", "pool/gangway-local/10.9.0.1/24", "{}", "should be written"},
		{"pool value", "pool/gangway-local/10.9.0.0/24", "garbage", "invalid character"},
		{"pool null", "pool/gangway-local/10.9.0.0/24", "null", "has no time"},
		{"pool empty", "pool/gangway-local/10.9.0.0/24", "", "EOF"},
		{"pool field", "pool/gangway-local/10.9.0.0/24", `{"colour":"red"}`, "colour"},
		{"pool trailing", "pool/gangway-local/10.9.0.0/24", `{` + since + `,"next":"10.9.0.1"}{}`, "more than one"},
		{"pool next", "pool/gangway-local/10.9.0.0/24", `{` + since + `,"next":"10.8.0.1"}`, "next address 10.8.0.1 is not from 10.9.0.1 to 10.9.0.254"},
		{"pool without next", "pool/gangway-local/10.9.0.0/24", `{` + since + `}`, "next address"},
		{"pool overlap", "pool/gangway-local/10.0.0.0/8", `{` + since + `,"next":"10.0.0.1"}`, "overlaps pool"},
		{"pool gateway", "pool/gangway-local/10.9.0.0/24", `{` + since + `,"next":"10.9.0.1","gateway":"10.9.0.1"}`, "gateway 10.9.0.1 is not stored"},
		{"address pool", "address/gangway-local/10.9.0.0/24|10.9.0.1", `{` + since + `,"kind":"fixed"}`, `pool "gangway-local/10.9.0.0/24" is not stored`},
		{"address text", "address/gangway-local/fd00::/64|x", `{}`, "address"},
		{"address missing", "address/gangway-local/fd00::/64", `{}`, "address"},
		{"address form", "address/gangway-local/fd00::/64|fd00:0::1", `{` + since + `,"kind":"fixed"}`, "should be"},
		{"address outside", "address/gangway-local/fd00::/64|fd01::1", `{` + since + `,"kind":"fixed"}`, "outside subnet"},
		{"address anycast", "address/gangway-local/fd00::/64|fd00::", `{` + since + `,"kind":"fixed"}`, "anycast"},
		{"address kind", "address/gangway-local/fd00::/64|fd00::1", `{` + since + `,"kind":"?"}`, "unknown kind of address"},
		{"address time", "address/gangway-local/fd00::/64|fd00::1", `{"kind":"fixed"}`, "has no time"},
		{"address type", "address/gangway-local/fd00::/64|fd00::1", `{"kind":7}`, "cannot unmarshal"},
		{"pool option", "pool/gangway-local/10.9.0.0/24", `{` + since + `,"next":"10.9.0.1","options":{"gangway.stucky":"false"}}`, "another version of gangway"},
		{"kept pool", "kept/gangway-local/10.9.0.0/24|10.9.0.1", `{` + since + `,"name":"db","turn":2}`, `pool "gangway-local/10.9.0.0/24" is not stored`},
		{"kept form", "kept/gangway-local/fd00::/64|fd00:0::2", `{` + since + `,"name":"db","turn":2}`, "should be"},
		{"kept time", "kept/gangway-local/fd00::/64|fd00::2", `{"name":"db","turn":2}`, "has no time"},
		{"kept for nobody", "kept/gangway-local/fd00::/64|fd00::2", `{` + since + `,"name":"","turn":2}`, "kept for the name"},
		{"kept in use", "kept/gangway-local/fd00::/64|fd00::5", `{` + since + `,"name":"db","turn":2}`, "in use"},
		{"kept outside the range", "kept/gangway-local/10.0.0.0/24/10.0.0.128/25|10.0.0.5", `{` + since + `,"name":"db","turn":2}`, "outside the pool's range"},
		{"kept where nothing is", "kept/gangway-local/10.3.0.0/24|10.3.0.5", `{` + since + `,"name":"db","turn":2}`, "keeps no addresses"},
		{"kept twice", "kept/gangway-local/fd00::/64|fd00::2", `{` + since + `,"name":"web","turn":2}`, "two addresses"},
		{"kept turn", "kept/gangway-local/10.20.0.0/24|10.20.0.2", `{` + since + `,"name":"db","turn":0}`, "turn 0"},
		{"lease of nobody", "lease/gangway-local/10.85.0.0/24|10.85.0.3", `{"link":"eth1"}`, "not held"},
		{"lease of another", "lease/gangway-local/10.85.0.0/24|10.85.0.2", `{"link":"eth1","mac":"02:00:00:00:00:aa","address":"10.85.0.9/24","server":"10.85.0.1"}`, "the lease is of 10.85.0.9/24"},
		{"lease without a server", "lease/gangway-local/10.85.0.0/24|10.85.0.2", `{"link":"eth1","mac":"02:00:00:00:00:aa","address":"10.85.0.2/24","server":""}`, "the lease is of"},
		{"cursor family", "cursor/ipv6", `{"last":"10.0.0.0/24"}`, "is not ipv6"},
		{"cursor value", "cursor/ipv4", `{"last":"10.0.0.9/24"}`, "not a masked prefix"},
		{"cursor null", "cursor/ipv4", `null`, "not a masked prefix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := newMemory()
			store.values = maps.Clone(base)
			store.values[c.key] = []byte(c.value)
			before := fmt.Sprint(store.copy())
			_, err := New(Options{Store: store, Used: nothingUsed})
			wantErr(t, err, fmt.Sprintf("read the stored pools and addresses: |key %q|%s", c.key, c.err))
			if store.updates != 0 || fmt.Sprint(store.copy()) != before {
				t.Error("the store was written")
			}
		})
	}
}

func FuzzStore(f *testing.F) {
	for k, v := range sound(f) {
		f.Add(k, v)
	}
	f.Add("pool/gangway-local/10.0.0.0/31", []byte(`{"since":"2026-01-02T03:04:05Z","next":"10.0.0.0"}`))
	base := sound(f)
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		store := newMemory()
		store.values = maps.Clone(base)
		store.values[key] = value
		a, err := New(Options{Store: store, Used: nothingUsed})
		if store.updates != 0 {
			t.Fatal("New wrote to the store")
		}
		if err != nil {
			if !strings.Contains(err.Error(), fmt.Sprintf("%q", key)) {
				// A pool that clashes may be met before or after the other one.
				if !strings.Contains(err.Error(), "overlaps pool") {
					t.Fatalf("%v does not name %q", err, key)
				}
			}
			return
		}
		for _, p := range a.Pools() {
			got, err := address(a, p.ID, "")
			if err != nil {
				continue
			}
			if id, err := parsePoolID(p.ID); err != nil || !id.subnet.Contains(got.Addr()) {
				t.Fatalf("%s gave %s (%v)", p.ID, got, err)
			}
		}
	})
}
