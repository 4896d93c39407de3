package ipam

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/ipam/lease"
)

// Keys of the store: pool/ID, address/ID|ADDRESS, kept/ID|ADDRESS, lease/ID|ADDRESS,
// cursor/FAMILY. Ids contain slashes, but no bar.
const (
	poolPrefix    = "pool/"
	addressPrefix = "address/"
	keptPrefix    = "kept/"
	leasePrefix   = "lease/"
	cursorPrefix  = "cursor/"
)

func poolKey(id string) string                     { return poolPrefix + id }
func addressKey(id string, addr netip.Addr) string { return addressPrefix + id + "|" + addr.String() }
func keptKey(id string, addr netip.Addr) string    { return keptPrefix + id + "|" + addr.String() }
func leaseKey(id string, addr netip.Addr) string   { return leasePrefix + id + "|" + addr.String() }
func cursorKey(family string) string               { return cursorPrefix + family }

// poolRecord is the stored value of a pool; its key says the rest.
type poolRecord struct {
	Since time.Time `json:"since"`
	// Next is where the search for a free address starts.
	Next netip.Addr `json:"next"`
	// Gateway is one of the pool's addresses, or the zero Addr.
	Gateway netip.Addr `json:"gateway,omitzero"`
	// Options are the user's (--ipam-opt).
	Options config.Pool `json:"options,omitzero"`
}

// The kinds of addressRecord.
const (
	// kindFixed was asked for by name, kindChosen was not.
	kindFixed  = "fixed"
	kindChosen = "chosen"
)

// addressRecord is the stored value of an address.
type addressRecord struct {
	Since time.Time `json:"since"`
	Kind  string    `json:"kind"`
	// Name and MAC are the endpoint's, as far as the engine told them.
	Name string `json:"name,omitempty"`
	MAC  string `json:"mac,omitempty"`
}

// keptRecord is the stored value of a kept address.
type keptRecord struct {
	// Since is when it was released.
	Since time.Time `json:"since"`
	// Name is the endpoint's that had it last.
	Name string `json:"name"`
	// Turn is larger than those of the addresses of the pool that were released before.
	Turn uint64 `json:"turn"`
}

// cursorRecord is the automatic pool of a family handed out last.
type cursorRecord struct {
	Last netip.Prefix `json:"last"`
}

func (p *pool) record() poolRecord {
	return poolRecord{Since: p.since, Next: p.next, Gateway: p.gateway, Options: p.options}
}

// encode cannot fail for the records above: they hold strings, and times of the
// years that RFC 3339 can write.
func encode(record any) []byte {
	b, err := json.Marshal(record)
	if err != nil {
		panic(fmt.Sprintf("ipam: encode %T: %v", record, err))
	}
	return b
}

// decode is strict: a value with unknown or missing parts was not written by
// this version, and rewriting it would lose them.
func decode(value []byte, record any) error {
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	if err := d.Decode(record); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

// keyed is a value whose pool may be loaded after it.
type keyed[T any] struct {
	key    string
	record T
}

// collect decodes a value for later.
func collect[T any](list *[]keyed[T], key string, value []byte) error {
	k := keyed[T]{key: key}
	err := decode(value, &k.record)
	*list = append(*list, k)
	return err
}

// each enters what was collected.
func each[T any](list []keyed[T], prefix string, enter func(key string, record T) error) error {
	for _, k := range list {
		if err := enter(strings.TrimPrefix(k.key, prefix), k.record); err != nil {
			return fmt.Errorf("key %q: %w", k.key, err)
		}
	}
	return nil
}

// load reads the store into an empty allocator. Addresses are entered after all
// pools, as the store visits keys in any order.
func (a *Allocator) load() error {
	var addresses []keyed[addressRecord]
	var kept []keyed[keptRecord]
	var leases []keyed[lease.Lease]
	err := a.o.Store.Load(func(key string, value []byte) error {
		var err error
		switch {
		case strings.HasPrefix(key, poolPrefix):
			err = a.loadPool(strings.TrimPrefix(key, poolPrefix), value)
		case strings.HasPrefix(key, addressPrefix):
			err = collect(&addresses, key, value)
		case strings.HasPrefix(key, keptPrefix):
			err = collect(&kept, key, value)
		case strings.HasPrefix(key, leasePrefix):
			err = collect(&leases, key, value)
		case strings.HasPrefix(key, cursorPrefix):
			err = a.loadCursor(strings.TrimPrefix(key, cursorPrefix), value)
		default:
			err = errors.New("unknown kind of key")
		}
		if err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(kept, func(a, b keyed[keptRecord]) int { return cmp.Compare(a.record.Turn, b.record.Turn) })
	err = each(addresses, addressPrefix, a.loadAddress)
	if err == nil {
		err = each(kept, keptPrefix, a.loadKept)
	}
	if err == nil {
		err = each(leases, leasePrefix, a.loadLease)
	}
	if err != nil {
		return err
	}
	for _, p := range a.byID {
		if p.gateway.IsValid() && p.held[p.gateway] == nil {
			return fmt.Errorf("key %q: gateway %s is not stored as an address", poolKey(p.key), p.gateway)
		}
	}
	return nil
}

func (a *Allocator) loadPool(name string, value []byte) error {
	id, err := parsePoolID(name)
	if err != nil {
		return err
	}
	r := poolRecord{Options: config.DefaultPool()}
	if err := decode(value, &r); err != nil {
		return err
	}
	if r.Since.IsZero() {
		return errors.New("the pool has no time")
	}
	if other := a.space[id.space].overlap(id.subnet); other != nil {
		return fmt.Errorf("overlaps pool %s", other.key)
	}
	p := newPool(id, r.Since, r.Options)
	if r.Next.Less(p.first) || p.last.Less(r.Next) {
		return fmt.Errorf("next address %s is not from %s to %s", r.Next, p.first, p.last)
	}
	p.next, p.gateway = r.Next, r.Gateway
	a.index(p)
	return nil
}

func (a *Allocator) loadAddress(key string, r addressRecord) error {
	p, addr, err := a.locate(key)
	if err != nil {
		return err
	}
	if r.Kind != kindFixed && r.Kind != kindChosen {
		return fmt.Errorf("unknown kind of address %q", r.Kind)
	}
	if r.Since.IsZero() {
		return errors.New("the address has no time")
	}
	p.hold(addr, &holding{addressRecord: r})
	return nil
}

// locate reads ID|ADDRESS, of an address of a pool that is loaded.
func (a *Allocator) locate(key string) (*pool, netip.Addr, error) {
	id, text, _ := strings.Cut(key, "|")
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return nil, addr, fmt.Errorf("address: %w", err)
	}
	p := a.byID[id]
	if p == nil {
		return nil, addr, fmt.Errorf("pool %q is not stored", id)
	}
	if addr.String() != text {
		return nil, addr, fmt.Errorf("the address should be %q", addr)
	}
	return p, addr, p.id.checkAddress(addr)
}

// loadKept enters a kept address; those with lower turns are there already.
func (a *Allocator) loadKept(key string, r keptRecord) error {
	p, addr, err := a.locate(key)
	switch {
	case err != nil:
		return err
	case r.Since.IsZero():
		return errors.New("the address has no time")
	case r.Name == "" || len(r.Name) > longestName:
		return fmt.Errorf("kept for the name %q", r.Name)
	case p.held[addr] != nil:
		return errors.New("an address in use is kept for somebody")
	case !p.inRange(addr):
		return errors.New("an address outside the pool's range is kept for somebody")
	case !p.options.Sticky:
		return errors.New("the pool keeps no addresses")
	case p.kept.byName[r.Name] != nil:
		return fmt.Errorf("%q has two addresses", r.Name)
	case r.Turn <= p.kept.turn:
		return fmt.Errorf("turn %d is there twice", r.Turn)
	case p.kept.len() >= mostKept:
		return errors.New("too many addresses are kept")
	}
	p.keep(keptAddress{addr, r})
	return nil
}

func (a *Allocator) loadCursor(name string, value []byte) error {
	var r cursorRecord
	if err := decode(value, &r); err != nil {
		return err
	}
	if !r.Last.IsValid() || r.Last != normal(r.Last) {
		return fmt.Errorf("%s is not a masked prefix", r.Last)
	}
	if name != family(r.Last.Addr().Is6()) {
		return fmt.Errorf("%s is not %s", r.Last, name)
	}
	a.cursor[name] = r.Last
	return nil
}
