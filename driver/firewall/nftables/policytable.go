package nftables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	nft "github.com/google/nftables"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// policyTable is the name of the table of policies, in the inet family.
const policyTable = tableName + "-policy"

// ErrNoPolicy says that the kernel cannot keep policies.
var ErrNoPolicy = errors.New("the kernel lacks what policies need of nf_tables (Linux 5.10 or newer, with the modules nf_tables, nft_ct, nft_fib_inet, nft_reject_inet and nft_log)")

// PolicyTable keeps policies (package policy) in a table of its own, beside whatever rules
// there are: it only drops, but for questions for names, which are redirected to a resolver.
// It is there while somebody has a policy.
//
//	prerouting  mangle-1  → sent_…    what containers begin, by where it was sent
//	input       filter-2  → arrived   what of it is for many, and comes to the host
//	forward     filter-2  → inward    what others begin with containers
//	names       nat dst-1             see resolverPart
//	resolver    filter-3
//	strict      nat dst-1             see readerPart
//	not_read    filter-3
//	reader_in   filter-3
//
// Its rules are always the same, and some more for each policy that differs from the others:
// networks, containers, addresses and ports are elements of sets and maps. A packet of a
// flow that is known meets one comparison in each chain.
//
// The table is its connection's where the kernel can keep it when that ends, as the table of
// Backend: nobody else can flush or change it then. It is always one transaction that leads
// from one state to another, and one that repairs makes the table anew.
//
// All calls have to come on threads of one network namespace. It is safe for concurrent use.
type PolicyTable struct {
	log    *logrus.Entry
	reader reader
	mu     sync.Mutex
	k      kernel
	// state is what the kernel should hold; before the first Sync, of what this process was
	// told.
	state policyState
	// learned is beside it.
	learned learning
	// synced says that state is all there is.
	synced bool
	// seen is the generation at which all of the state was in the kernel, moved on by own
	// changes; 0 if that has to be looked at.
	seen uint32
}

// NewPolicyTable tries what it needs of the kernel, without leaving anything there. The error
// of a kernel that cannot do it matches ErrNoPolicy. shared makes the table without an owner.
func NewPolicyTable(ctx context.Context, log *logrus.Entry, shared bool) (*PolicyTable, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &PolicyTable{log: log}
	err := tryFlags(shared, p.probePolicy)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		err = explain(err)
	default:
		err = fmt.Errorf("%w: %w", ErrNoPolicy, err)
	}
	p.Close()
	return nil, fmt.Errorf("try a table of policies: %w", err)
}

// probePolicy puts a table with these flags and with everything in it into the kernel, and
// removes it in the same transaction.
func (p *PolicyTable) probePolicy(flags uint32) error {
	p.k.flags = flags
	if err := p.k.open(); err != nil {
		return err
	}
	const name = policyTable + "-probe"
	change := policyState{}.to(policyState{log: true, serving: policy.Serving{Questions: 53, Connections: 54}}.with(nil, []policy.Binding{samplePolicy()}))
	err := p.k.wire.commit(name, flags, func(c *nft.Conn) error {
		defer c.DelTable(table(name))
		return change.write(c, name)
	})
	if flags != 0 && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) {
		return fmt.Errorf("%w: %w", errNoOwner, err)
	}
	return err
}

func samplePolicy() policy.Binding {
	return policy.Binding{NetworkID: "probe", Bridge: "gw-probe", Texts: config.Policy{
		Egress: config.EgressInternet, Allow: "registry.example,[2001:db8::]:443,192.0.2.1,192.0.2.2:80", Deny: "host:22,private", Ingress: "443=any,lan", Host: "53,8000-8100/tcp", Names: config.NamesStrict,
	}}
}

// Close ends the connections to the kernel. The table stays.
func (p *PolicyTable) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reader.close()
	p.k.close()
	p.seen = 0
}

// Owned says that nobody else can flush or change the table.
func (p *PolicyTable) Owned() bool { return p.k.flags != 0 }

// Told returns the bindings that the table is for, and whether what is refused is logged.
func (p *PolicyTable) Told() (all []policy.Binding, log bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.all(), p.state.log
}

// Apply changes the bindings, and whether what is refused is logged, in one transaction. On
// an error nothing has changed.
func (p *PolicyTable) Apply(ctx context.Context, remove, add []policy.Binding, log bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	err := p.know()
	if err == nil {
		next := p.state.with(remove, add)
		next.log, next.serving = log, p.learned.at
		if err = next.fits(p.state); err == nil {
			err = p.turn(ctx, next)
		}
	}
	if err != nil {
		return fmt.Errorf("change the policies: %w", err)
	}
	return nil
}

// know has the state know which policies the table has, until it is all there is.
func (p *PolicyTable) know() (err error) {
	if !p.synced && p.state.known == nil {
		p.state.known, err = p.knowPolicies()
	}
	return err
}

// Repair makes the kernel hold what it was told last, and returns a line for each thing that
// was not so. Before the first Sync the table may be for others as well, and is left alone.
func (p *PolicyTable) Repair(ctx context.Context) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.synced {
		return nil, ctx.Err()
	}
	return p.check(ctx, p.state)
}

// Sync is Repair for other bindings: there are no others.
func (p *PolicyTable) Sync(ctx context.Context, all []policy.Binding, log bool) ([]string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.know(); err != nil {
		return nil, fmt.Errorf("check the policies: %w", err)
	}
	want := p.state.with(p.state.all(), all)
	want.log, want.serving = log, p.learned.at
	return p.check(ctx, want)
}

// turn brings the table to another state.
func (p *PolicyTable) turn(ctx context.Context, next policyState) error {
	if !p.synced {
		return p.addTo(ctx, next)
	}
	change := p.state.to(next)
	err := p.count(&change.stays)
	if err == nil {
		change.names = p.names(next, change.create || change.remove)
		err = p.commit(change)
	}
	if err != nil {
		p.log.WithError(err).Debug("table inet " + policyTable + " is not as it was left")
		_, err = p.check(ctx, next)
		return err
	}
	p.state = next
	return nil
}

// addTo brings what this process was told into a table that may be for others, too: all that
// is there stays, but for what was this process's.
func (p *PolicyTable) addTo(ctx context.Context, next policyState) error {
	is, err := p.list(ctx, newImage())
	if err != nil {
		return err
	}
	change := policyState{}.to(next)
	if is.exists && !next.empty() {
		change.create = false
		gone, _, turned := p.state.moved(next)
		change.gone.chains, change.gone.items, change.stays.turned = gone.chains, gone.items, turned
		for name := range change.fresh.sets {
			if is.items[name] != nil {
				delete(change.fresh.sets, name)
			}
		}
		change.fresh.chains = slices.DeleteFunc(change.fresh.chains, func(c chain) bool { return is.chains[c.Name] })
	}
	if err = p.commit(change); err == nil {
		p.state = next
	}
	return err
}

// check makes the kernel hold a state, and makes the table anew where it holds anything else.
// Nothing is listed where nobody else can have changed the table.
func (p *PolicyTable) check(ctx context.Context, want policyState) ([]string, error) {
	lines, err := p.compare(ctx, want)
	if err != nil {
		p.seen = 0
		return lines, fmt.Errorf("check the policies: %w", err)
	}
	return lines, nil
}

func (p *PolicyTable) compare(ctx context.Context, want policyState) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now, err := p.k.generation()
	if err != nil {
		return nil, err
	}
	if p.synced && p.seen != 0 && (now == p.seen || p.k.owns) && p.state.to(want).empty() {
		p.seen = now
		return nil, nil
	}
	is, err := p.list(ctx, want.image())
	if err != nil {
		return nil, err
	}
	p.seen = is.generation
	p.compareLearned(&is, want)
	mend := is.mend(want, p.k.flags != 0)
	mend.names = p.names(want, mend.create || mend.remove)
	if err = p.commit(mend); err != nil {
		return nil, err
	}
	want.known = nil
	p.state, p.synced = want, true
	return is.broken, nil
}

// names is what becomes of names with the next state, in a table that is made anew or not.
func (p *PolicyTable) names(next policyState, anew bool) learnedChange {
	c := learnedChange{id: ids(next, p.state)}
	if c.Gone = p.outdated(next); anew {
		c.Change = p.all()
	}
	return c
}

// mend is what makes the table as it is to be, owned where it can be.
func (l policyListing) mend(want policyState, owned bool) policyChange {
	switch {
	case !l.exists:
		return policyState{}.to(want)
	case want.empty():
		return policyChange{remove: true}
	case len(l.broken) > 0 || l.plain && owned:
		return policyChange{remove: true, create: true, fresh: want.image()}
	}
	return policyChange{adopt: l.orphan}
}

// commit puts a change into the kernel. A table that is there and should be this connection's
// becomes so by it.
func (p *PolicyTable) commit(c policyChange) error {
	if c.empty() && !c.adopt {
		return nil
	}
	if err := p.k.open(); err != nil {
		return err
	}
	c.adopt = !c.create && !c.remove && p.k.flags != 0 && !p.k.owns
	p.log.Debugf("nft -f -\n%s", c)
	begun, err := c.begun(&p.k.wire)
	if err == nil {
		err = p.k.wire.commit(policyTable, p.k.flags, func(conn *nft.Conn) error { return c.write(conn, policyTable) }, begun...)
	}
	if err != nil {
		return fmt.Errorf("write table inet %s: %w", policyTable, explain(err))
	}
	p.k.owns = p.k.flags != 0 && (c.create || !c.remove)
	if p.seen != 0 {
		p.seen++
	}
	return nil
}
