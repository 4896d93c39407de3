package faulttest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/ipam"
	"github.com/gangway-net/gangway/plugin/store"
)

// book is one life of the address manager on the store in a folder.
type book struct {
	*ipam.Allocator
	faults *faults
	store  *store.Store
}

// addressJob stands in the place of a backend for a job about addresses.
const addressJob = "addresses"

func openBook(dir string) (*book, error) {
	db, err := store.Open(filepath.Join(dir, "gangway.db"), time.Minute)
	if err != nil {
		return nil, err
	}
	b := &book{faults: &faults{}, store: db}
	if b.Allocator, err = b.load(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return b, nil
}

// load reads the store into an address manager.
func (b *book) load() (*ipam.Allocator, error) {
	return ipam.New(ipam.Options{
		Ranges: []config.PoolRange{{Base: netip.MustParsePrefix("10.200.0.0/16"), Size: 24}},
		Store:  faultyStore{b.faults, b.store.Bucket("ipam")},
		Used:   func(context.Context) ([]netip.Prefix, error) { return nil, nil },
	})
}

func mustOpenBook(t *testing.T, dir string) *book {
	t.Helper()
	b, err := openBook(dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *book) close(t *testing.T) {
	t.Helper()
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
}

// content is what the store holds, without the times.
func (b *book) content(t *testing.T) string {
	t.Helper()
	times := regexp.MustCompile(`"since":"[^"]*"`)
	var lines []string
	err := b.store.Bucket("ipam").Load(func(key string, value []byte) error {
		lines = append(lines, key+"="+times.ReplaceAllString(string(value), "since"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n") + "\n"
}

// held is what the address manager says it holds.
func (b *book) held() string {
	var lines []string
	for _, p := range b.Pools() {
		lines = append(lines, fmt.Sprintf("%s: %d", p.ID, p.InUse))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// The pools of the life below.
const (
	namedPool  = "gangway-local/10.1.0.0/24/10.1.0.128/25"
	chosenPool = "gangway-local/10.200.0.0/24"
)

// addressVerb is one call. Asked for what it answered, it gets the same answer.
type addressVerb struct {
	name string
	run  func(ctx context.Context, b *book, answer string) (string, error)
	// chooses says that the first call leaves the choice to the address manager.
	chooses bool
}

// addressVerbs are the life of two networks.
func addressVerbs() []addressVerb {
	pool := func(named, sub string) func(ctx context.Context, b *book, answer string) (string, error) {
		return func(ctx context.Context, b *book, answer string) (string, error) {
			r := ipam.PoolRequest{Space: ipam.LocalSpace}
			if answer != "" {
				named = strings.Split(answer, " ")[1]
			}
			if named != "" {
				r.Pool = netip.MustParsePrefix(named)
			}
			if sub != "" {
				r.SubPool = netip.MustParsePrefix(sub)
			}
			p, err := b.RequestPool(ctx, r)
			return fmt.Sprintf("%s %s", p.ID, p.Subnet), err
		}
	}
	address := func(poolID, addr string, gateway bool) func(ctx context.Context, b *book, answer string) (string, error) {
		return func(ctx context.Context, b *book, answer string) (string, error) {
			r := ipam.AddressRequest{PoolID: poolID, Gateway: gateway}
			if answer != "" {
				addr, _, _ = strings.Cut(answer, "/")
			}
			if addr != "" {
				r.Address = netip.MustParseAddr(addr)
			}
			p, err := b.RequestAddress(ctx, r)
			return p.String(), err
		}
	}
	release := func(poolID, addr string) func(ctx context.Context, b *book, answer string) (string, error) {
		return func(ctx context.Context, b *book, _ string) (string, error) {
			return "", b.ReleaseAddress(ctx, poolID, netip.MustParseAddr(addr))
		}
	}
	releasePool := func(id string) func(ctx context.Context, b *book, answer string) (string, error) {
		return func(ctx context.Context, b *book, _ string) (string, error) { return "", b.ReleasePool(ctx, id) }
	}
	return []addressVerb{
		{"request pool", pool("10.1.0.0/24", "10.1.0.128/25"), false},
		{"request gateway", address(namedPool, "", true), true},
		{"request auxiliary address", address(namedPool, "10.1.0.9", false), false},
		{"request address", address(namedPool, "", false), true},
		{"request static address", address(namedPool, "10.1.0.200", false), false},
		{"request automatic pool", pool("", ""), true},
		{"request its gateway", address(chosenPool, "", true), true},
		{"request its address", address(chosenPool, "", false), true},
		{"release address", release(namedPool, "10.1.0.129"), false},
		{"release gateway", release(namedPool, "10.1.0.128"), false},
		{"release pool with addresses", releasePool(namedPool), false},
		{"release automatic pool", releasePool(chosenPool), false},
	}
}

// done runs a verb that has to succeed.
func (v addressVerb) done(t *testing.T, b *book, answer string) string {
	t.Helper()
	got, err := v.run(t.Context(), b, answer)
	if err != nil {
		t.Fatalf("%s: %v", v.name, err)
	}
	return got
}

// TestAddressFaults fails the store under every call of the address manager: it
// holds what it held, says what failed, and answers the repeated call as it
// would have answered the first one. Then the answer is lost: an engine that
// starts anew and asks for what it was given gets it, once.
func TestAddressFaults(t *testing.T) {
	count := 0
	dir := t.TempDir()
	b := mustOpenBook(t, dir)
	defer func() { b.close(t) }()
	for _, v := range addressVerbs() {
		before, held := b.content(t), b.held()
		for n := 1; ; n++ {
			b.faults.set(n, fails, 0)
			answer, err := v.run(t.Context(), b, "")
			_, hit := b.faults.hit()
			b.faults.set(0, fails, 0)
			if !hit {
				if err != nil {
					t.Fatalf("%s: %v", v.name, err)
				}
				repeated(t, b, v, answer)
				break
			}
			count++
			if !errors.Is(err, errInjected) || !strings.Contains(err.Error(), "store ") {
				t.Fatalf("%s, fault %d: the error does not say so: %v", v.name, n, err)
			}
			same(t, fmt.Sprintf("%s, fault %d: the store", v.name, n), before, b.content(t))
			same(t, fmt.Sprintf("%s, fault %d: memory", v.name, n), held, b.held())
		}
	}
	if held := b.held(); held != "" {
		t.Errorf("left behind: %s", held)
	}
	if count < len(addressVerbs()) {
		t.Errorf("only %d faults", count)
	}
	t.Logf("%d faults injected", count)
}

// repeated asks again for what a call was answered: as another one's claim, which
// is refused, and as an engine does that has started anew.
func repeated(t *testing.T, b *book, v addressVerb, answer string) {
	t.Helper()
	after, held := b.content(t), b.held()
	fresh, err := b.load()
	if err != nil {
		t.Fatal(err)
	}
	same(t, v.name+": memory is not what the store holds", (&book{Allocator: fresh}).held(), held)
	if _, err := v.run(t.Context(), b, answer); answer != "" && err == nil {
		t.Fatalf("%s: %s was given twice", v.name, answer)
	}
	b.Greet()
	if again := v.done(t, b, answer); again != answer {
		t.Fatalf("%s: answered %q, and then %q", v.name, answer, again)
	}
	same(t, v.name+", repeated: the store", after, b.content(t))
	same(t, v.name+", repeated: memory", held, b.held())
}

// TestAddressKills kills the process before, in the middle of and after the
// transaction of every call. The store holds what it held before the call or
// after it, and the repeated call gets what the first one was or would have been
// answered. An address or pool that was chosen for an answer that nobody got is
// the one thing that stays: it is never given out twice, and an address goes
// with its pool.
func TestAddressKills(t *testing.T) {
	count := 0
	times := []time.Duration{0, 200 * time.Microsecond, time.Millisecond, time.Hour}
	for _, late := range times {
		dir := t.TempDir()
		b := mustOpenBook(t, dir)
		for i, v := range addressVerbs() {
			before := b.content(t)
			b.close(t)
			want, after := rehearse(t, dir, v)
			if !die(t, job{addressJob, dir, i, 1, late}) {
				t.Fatalf("%s: the process was not killed", v.name)
			}
			count++
			if late == time.Hour && v.chooses && !strings.Contains(v.name, "gateway") {
				if other, _ := rehearse(t, dir, v); other == want {
					t.Errorf("%s: %s was chosen twice", v.name, want)
				}
			}
			b = mustOpenBook(t, dir)
			at := fmt.Sprintf("%s, killed after %s", v.name, late)
			if now := b.content(t); now != before && now != after {
				same(t, at+": neither as before nor as after", after, now)
			}
			if late == time.Hour {
				same(t, at+": the store", after, b.content(t))
			}
			if got := v.done(t, b, want); got != want {
				t.Fatalf("%s: answered %q, want %q", at, got, want)
			}
			if v.chooses {
				continue // named now, which the store remembers
			}
			same(t, at+", repeated", after, b.content(t))
		}
		if held := b.held(); held != "" {
			t.Errorf("killed after %s: left behind: %s", late, held)
		}
		b.close(t)
	}
	t.Logf("%d times killed", count)
}

// rehearse runs a verb on a copy of the store, and returns its answer and what
// the store holds then.
func rehearse(t *testing.T, dir string, v addressVerb) (answer, after string) {
	t.Helper()
	copied := t.TempDir()
	image, err := os.ReadFile(filepath.Join(dir, "gangway.db"))
	if err == nil {
		err = os.WriteFile(filepath.Join(copied, "gangway.db"), image, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	b := mustOpenBook(t, copied)
	defer b.close(t)
	answer = v.done(t, b, "")
	return answer, b.content(t)
}

// doomedCall is the other process.
func doomedCall(j job) error {
	b, err := openBook(j.dir)
	if err != nil {
		return err
	}
	k := killed
	if j.late > 0 {
		k = interval
	}
	b.faults.set(j.n, k, j.late)
	if _, err := addressVerbs()[j.verb].run(context.Background(), b, ""); err != nil {
		return err
	}
	if _, hit := b.faults.hit(); hit {
		end() // the transaction was faster than the death
	}
	return nil
}
