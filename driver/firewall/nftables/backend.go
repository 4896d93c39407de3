package nftables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
)

// Options are what New needs.
type Options struct {
	Log *logrus.Entry
	// Mark is the bits that the rules use.
	Mark firewall.Mark
	// ForwardHook is nil on hosts without iptables commands.
	ForwardHook ForwardHook
	// Shared makes the table without an owner, as kernels before 6.9 need it, and
	// NoFailClosed leaves the fail-closed table out, as those before 5.12 need it, so
	// that tests can show what holds there.
	Shared, NoFailClosed bool
}

// Backend keeps the rules in nf_tables. It is safe for concurrent use; changes
// go one after the other, as they do in the kernel. All calls have to come on
// threads of one network namespace.
type Backend struct {
	log *logrus.Entry
	// reader reads beside what mu is for.
	reader reader

	mu          sync.Mutex
	kernel      kernel
	forwardHook forwardHook
	// failClosed is idle where nobody else can change the table, or the kernel cannot keep
	// a fail-closed table.
	failClosed *FailClosed
	// known holds what the kernel held after the last change; nil if that has
	// to be looked up.
	known contents
	// seen is the generation at which all of known, and the FORWARD hook, were found in
	// the kernel, moved on by own changes; 0 if they have to be looked at.
	seen uint32
}

var _ firewall.Backend = (*Backend)(nil)

// New tries what it needs of the kernel, without leaving anything there. The
// error of a kernel that cannot do it matches ErrUnsupported and says what to
// do.
func New(ctx context.Context, o Options) (*Backend, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := &Backend{
		log: o.Log, kernel: kernel{mark: o.Mark}, forwardHook: forwardHook{iptables: o.ForwardHook},
		failClosed: &FailClosed{log: o.Log, mark: o.Mark, idle: true, keepsMarks: true},
	}
	if err := b.kernel.probe(o.Shared); err != nil {
		return nil, err
	}
	if b.kernel.flags != 0 || o.NoFailClosed {
		return b, nil
	}
	err := b.failClosed.trial(ctx)
	switch {
	case err == nil:
		b.failClosed.idle = false
	case errors.Is(err, ErrNoFailClosed):
		o.Log.WithError(err).Debug("firewall: no fail-closed table")
	default:
		b.Close()
		return nil, err
	}
	return b, nil
}

// Protection implements what firewall.ProtectionOf asks for.
func (b *Backend) Protection() firewall.Protection {
	switch {
	case b.kernel.flags != 0:
		return firewall.OwnTable
	case !b.failClosed.idle:
		return firewall.ClosedTable
	}
	return firewall.NoProtection
}

// Close ends the connections to the kernel. The table stays, for the next
// process to go on with; until then anybody can change it. The fail-closed table goes.
func (b *Backend) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failClosed.Close()
	b.reader.close()
	b.kernel.close()
}

// Name implements firewall.Backend.
func (b *Backend) Name() string { return "nftables" }

// Apply implements firewall.Backend. As long as nobody else changes the table, it costs
// one transaction with the elements of the delta. With the first network the fail-closed
// table and the FORWARD hook come behind that, and with the last one they go before: what
// they look at has been classified.
func (b *Backend) Apply(ctx context.Context, d firewall.Delta) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.apply(ctx, d); err != nil {
		return fmt.Errorf("change the rules: %w", err)
	}
	return nil
}

func (b *Backend) apply(ctx context.Context, d firewall.Delta) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.learn(ctx); err != nil {
		return err
	}
	c := b.known.delta(d)
	was, lans := b.forwardHook.lans, b.forwardHook.lans.after(d)
	had, after := b.known.forwardHook(was), b.known.forwardHookAfter(c, lans)
	if had.Networks && !after.Networks {
		if err := b.shut(ctx, after); err != nil {
			return err
		}
	}
	if err := b.change(ctx, c); err != nil {
		return err // without networks the FORWARD hook lets nothing through
	}
	if had == after && !after.Networks {
		return nil
	}
	b.forwardHook.lans = lans
	if err := b.follow(ctx, after, !c.empty()); err != nil {
		b.forwardHook.lans = was
		return b.takeBack(ctx, c, had, err)
	}
	return nil
}

// follow brings the fail-closed table and the FORWARD hook to what goes with the known
// items, after a transaction or without one.
func (b *Backend) follow(ctx context.Context, want firewall.ForwardHook, wrote bool) error {
	_, err := b.setFailClosed(ctx, b.known)
	if err == nil && (b.forwardHook.want != want || want != firewall.ForwardHook{} && b.forwardHook.due(&b.kernel, wrote)) {
		err = b.setForwardHook(ctx, want)
	}
	return err
}

// shut removes the fail-closed table, and from the FORWARD hook what is for networks.
func (b *Backend) shut(ctx context.Context, want firewall.ForwardHook) error {
	if err := b.setForwardHook(ctx, want); err != nil {
		return err
	}
	_, err := b.setFailClosed(ctx, nil)
	return err
}

// takeBack undoes a change that these could not follow; had is what the FORWARD hook was
// for before. It returns the error with what it meets itself.
func (b *Backend) takeBack(ctx context.Context, c change, had firewall.ForwardHook, err error) error {
	if !had.Networks {
		_, off := b.setFailClosed(ctx, nil)
		err = errors.Join(err, off)
	}
	again := b.change(ctx, c.inverse())
	if again == nil && had.Networks {
		_, again = b.setFailClosed(ctx, b.known)
	}
	if again != nil {
		return fmt.Errorf("%w (and taking it back failed, so the rules may be incomplete until the next check: %w)", err, again)
	}
	return err
}

// learn looks up what the kernel holds, if that is not known.
func (b *Backend) learn(ctx context.Context) error {
	if b.known != nil {
		return nil
	}
	l, err := b.kernel.list(ctx)
	if err != nil {
		return err
	}
	if l.damaged() {
		_, err = b.repair(l, l.items)
		return err
	}
	b.known = l.items
	return nil
}

// change commits a change of what is known. If the kernel refuses it, others
// have changed the table: it is compared with all that is known, once.
func (b *Backend) change(ctx context.Context, c change) error {
	if c.empty() {
		return nil
	}
	err := b.commit(b.known.transaction(c))
	if err == nil {
		b.known.change(c)
		return nil
	}
	b.log.WithError(err).Debug("table inet " + tableName + " is not as it was left")
	want := b.known.clone()
	want.change(c)
	l, again := b.kernel.list(ctx)
	if again == nil {
		_, again = b.repair(l, want)
	}
	if again != nil {
		b.seen = 0
		return again
	}
	return nil
}

// commit puts a transaction into the kernel.
func (b *Backend) commit(tx transaction) error {
	b.log.Debugf("nft -f -\n%s", tx)
	err := b.kernel.commit(tx)
	if err == nil {
		b.wrote(1)
	}
	return err
}

// wrote notes how many transactions were this process's own: the kernel counts
// them as it does those of others.
func (b *Backend) wrote(n uint32) {
	for _, generation := range []*uint32{&b.seen, &b.forwardHook.looked} {
		if *generation != 0 {
			*generation += n
		}
	}
}

// Sync implements firewall.Backend. Nothing is listed if the kernel says that
// nothing changed since the last one, or that only this process can have changed
// the table.
func (b *Backend) Sync(ctx context.Context, full firewall.Ruleset) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forwardHook.lans = lans{}.after(firewall.Delta{Add: full})
	if b.known == nil || !b.known.holds(full) {
		return b.check(ctx, compile(full), false)
	}
	return b.check(ctx, b.known, true)
}

// Repair implements firewall.Backend, at the cost of Sync without a ruleset.
func (b *Backend) Repair(ctx context.Context) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.learn(ctx); err != nil {
		return nil, fmt.Errorf("check the rules: %w", err)
	}
	return b.check(ctx, b.known, true)
}

// check makes the kernel hold the wanted items, which may be those that are known.
func (b *Backend) check(ctx context.Context, want contents, known bool) ([]string, error) {
	lines, err := b.sync(ctx, want, known)
	if err != nil {
		b.seen = 0
		return lines, fmt.Errorf("check the rules: %w", err)
	}
	return lines, nil
}

func (b *Backend) sync(ctx context.Context, want contents, known bool) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	now, err := b.kernel.generation()
	if err != nil {
		return nil, err
	}
	still := b.known != nil && b.seen == now && b.kernel.safe(b.known)
	// The kernel lets nobody else change a table that has an owner, whatever else
	// has changed.
	table := still || b.known != nil && b.seen != 0 && b.kernel.owns
	b.seen = now
	hook := want.forwardHook(b.forwardHook.lans)
	steps := []func() ([]string, error){
		func() ([]string, error) { return b.syncTable(ctx, want, known, table) },
		func() ([]string, error) { return b.around(ctx, hook, still) },
	}
	if hook == (firewall.ForwardHook{}) {
		slices.Reverse(steps)
	}
	var repaired []string
	for _, step := range steps {
		lines, err := step()
		repaired = append(repaired, lines...)
		if err != nil {
			return repaired, err
		}
	}
	return repaired, nil
}

// around is follow for Sync, which tells what it repairs.
func (b *Backend) around(ctx context.Context, want firewall.ForwardHook, still bool) ([]string, error) {
	var items contents
	if want.Networks {
		items = b.known
	}
	lines, err := b.setFailClosed(ctx, items)
	if err == nil && b.failClosed.idle && !still {
		var writes uint32
		writes, lines, err = b.failClosed.sync(ctx, nil)
		b.wrote(writes)
	}
	if err != nil {
		return lines, err
	}
	more, err := b.forwardHook.sync(ctx, want, still)
	if len(more) > 0 {
		b.seen = 0 // iptables has changed nf_tables, maybe
	}
	return append(lines, more...), err
}

// setFailClosed makes the fail-closed table that goes with a table of these items, none
// for none, unless it is idle.
func (b *Backend) setFailClosed(ctx context.Context, items contents) ([]string, error) {
	if b.failClosed.idle {
		return nil, nil
	}
	var bridges []string
	for _, i := range sorted(items[bridgesSet]) {
		if v, ok := inet().find(bridgesSet).keys.decode([]byte(i.key)); ok {
			bridges = append(bridges, v.link[receiver])
		}
	}
	writes, lines, err := b.failClosed.sync(ctx, bridges)
	b.wrote(writes)
	return lines, err
}

func (b *Backend) syncTable(ctx context.Context, want contents, known, still bool) ([]string, error) {
	if still && known {
		return nil, nil
	}
	l := listing{exists: b.known.len() > 0, items: b.known}
	if !still {
		var err error
		if l, err = b.kernel.list(ctx); err != nil {
			return nil, err
		}
	}
	return b.repair(l, want)
}

// Cleanup implements firewall.Backend.
func (b *Backend) Cleanup(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("remove the rules: %w", err)
	}
	b.known, b.seen, b.forwardHook.lans = nil, 0, nil
	if _, err := b.around(ctx, firewall.ForwardHook{}, false); err != nil {
		return fmt.Errorf("remove the rules: %w", err)
	}
	l, err := b.kernel.list(ctx)
	if err == nil {
		_, err = b.repair(l, contents{})
	}
	if err != nil {
		return fmt.Errorf("remove the rules: %w", err)
	}
	return nil
}

// setForwardHook brings the FORWARD hook to what is wanted; iptables may change nf_tables
// by it.
func (b *Backend) setForwardHook(ctx context.Context, want firewall.ForwardHook) error {
	_, err := b.forwardHook.sync(ctx, want, false)
	b.seen = 0
	return err
}
