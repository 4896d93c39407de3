package iptables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/undo"
)

// FailClosed cuts networks off while the rules that isolate them are missing; see
// nftables.FailClosed.
type FailClosed interface {
	// Sync makes the table for bridges, sorted by name, and removes it if there
	// are none; it returns one line for each repair.
	Sync(ctx context.Context, bridges []string) (repaired []string, err error)
	Close()
}

// Options are what New needs.
type Options struct {
	Log *logrus.Entry
	// Mark is the bits that the rules use, and the fail-closed table heeds.
	Mark firewall.Mark
	// FailClosed is nil where the kernel cannot keep one.
	FailClosed FailClosed
}

// Backend keeps the rules in iptables. It is safe for concurrent use; changes
// go one after the other, as they do in the kernel.
type Backend struct {
	log        *logrus.Entry
	mark       firewall.Mark
	failClosed FailClosed
	// installed holds the variants of this host, the default one first.
	installed []variant

	mu      sync.Mutex
	variant variant
	// families is what is known of each, by "is it IPv6".
	families map[bool]*family
}

// family is what is known of one family's rules.
type family struct {
	// want is what the kernel is to hold since the last change or Sync that was
	// done; nil before.
	want rules
	// known is what the kernel held after the last change; nil if that has to be
	// looked up.
	known rules
	// user says that there was a DOCKER-USER at the last look.
	user bool
}

func nothingKnown() map[bool]*family { return map[bool]*family{false: {}, true: {}} }

var _ firewall.Backend = (*Backend)(nil)

// New finds iptables and what the engine uses of it. It fails if the commands
// are missing or may not be used.
func New(ctx context.Context, o Options) (*Backend, error) {
	found, err := installed(ctx)
	if err != nil {
		return nil, err
	}
	b := &Backend{log: o.Log, mark: o.Mark, failClosed: o.FailClosed, installed: found, variant: found[0], families: nothingKnown()}
	for _, v := range found {
		there, err := v.hasEngine()
		if err != nil {
			return nil, fmt.Errorf("look for the engine's chains: %w", err)
		}
		if there {
			b.variant = v
			break
		}
	}
	for _, six := range families() {
		if _, err := b.list(ctx, six); err != nil {
			return nil, fmt.Errorf("list the rules: %w", err)
		}
	}
	return b, nil
}

// Protection implements what firewall.ProtectionOf asks for.
func (b *Backend) Protection() firewall.Protection {
	if b.failClosed != nil {
		return firewall.ClosedTable
	}
	return firewall.NoProtection
}

// Close takes the fail-closed table away; the rules stay.
func (b *Backend) Close() {
	if b.failClosed != nil {
		b.failClosed.Close()
	}
}

// Name implements firewall.Backend.
func (b *Backend) Name() string { return "iptables" }

// families returns the families that the kernel has, as "is it IPv6".
func families() []bool {
	if hasIPv6() {
		return []bool{false, true}
	}
	return []bool{false}
}

// Apply implements firewall.Backend. As long as nobody else changes the rules,
// it costs one run of iptables-restore per family that the delta concerns. With
// the first network the fail-closed table comes behind that, and with the last one
// it goes before: what it looks at are the marks of these rules.
func (b *Backend) Apply(ctx context.Context, d firewall.Delta) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	before, after := map[bool]rules{}, map[bool]rules{}
	if err := b.learn(ctx); err != nil {
		return err
	}
	for _, six := range families() {
		f := b.families[six]
		before[six], after[six] = f.want, f.want.with(d, b.form(six))
	}
	err := b.write(ctx, after)
	if err == nil {
		return nil
	}
	back, cancel := undo.Context(ctx)
	defer cancel()
	if again := b.write(back, before); again != nil {
		return fmt.Errorf("change the rules: %w (and taking it back failed, so they may be incomplete until the next check: %w)", err, again)
	}
	return fmt.Errorf("change the rules: %w", err)
}

// learn takes what the kernel holds for what it is to hold, if nobody has said that.
func (b *Backend) learn(ctx context.Context) error {
	for _, six := range families() {
		f := b.families[six]
		if f.want != nil {
			continue
		}
		is, err := b.list(ctx, six)
		if err != nil {
			return fmt.Errorf("list the rules: %w", err)
		}
		f.want, f.known = is.own, is.own
	}
	return nil
}

func (b *Backend) form(six bool) form {
	return form{mark: b.mark, six: six, failClosed: b.failClosed != nil, user: b.families[six].user}
}

// list looks at what the kernel holds.
func (b *Backend) list(ctx context.Context, six bool) (listing, error) {
	is, err := b.variant.list(ctx, six, hooks(six))
	if err == nil {
		b.families[six].user = is.user
	}
	return is, err
}

// write brings families and fail-closed table to the given rules.
func (b *Backend) write(ctx context.Context, want map[bool]rules) error {
	bridges := want[false].bridges()
	if len(bridges) == 0 {
		if _, err := b.setFailClosed(ctx, nil); err != nil {
			return err
		}
		return b.set(ctx, want)
	}
	if err := b.set(ctx, want); err != nil {
		return err
	}
	_, err := b.setFailClosed(ctx, bridges)
	return err
}

// setFailClosed makes the table for bridges, none for none, if there is one to be.
func (b *Backend) setFailClosed(ctx context.Context, bridges []string) ([]string, error) {
	if b.failClosed == nil {
		return nil, nil
	}
	return b.failClosed.Sync(ctx, bridges)
}

// set brings the families to the given rules. What fails by what is known is
// done once more by what the kernel holds, which others may have changed.
func (b *Backend) set(ctx context.Context, want map[bool]rules) error {
	for _, six := range families() {
		if known := b.families[six].known; known != nil {
			if s, ok := step(known, want[six]); ok {
				if err := b.restore(ctx, six, s, want[six]); err == nil {
					continue
				} else if ctx.Err() != nil {
					return err
				}
			}
		}
		if _, err := b.repair(ctx, six, want[six]); err != nil {
			return err
		}
	}
	return nil
}

// repair makes the kernel hold exactly want, in the form for what is there of others,
// and says what differed.
func (b *Backend) repair(ctx context.Context, six bool, want rules) ([]string, error) {
	is, err := b.list(ctx, six)
	if err != nil {
		return nil, err
	}
	want = want.with(firewall.Delta{}, b.form(six))
	s := converge(is, want)
	return s.repairs, b.restore(ctx, six, s, want)
}

// restore runs a script; from then on the kernel is known to hold want, or
// nothing is known of it.
func (b *Backend) restore(ctx context.Context, six bool, s *script, want rules) error {
	f := b.families[six]
	f.known = nil
	if err := b.variant.restore(ctx, b.log, six, s.String()); err != nil {
		return err
	}
	f.want, f.known = want, want
	return nil
}

// Sync implements firewall.Backend. When the engine turns out to use the other
// variant (it starts after gangway at boot), the rules move there.
func (b *Backend) Sync(ctx context.Context, full firewall.Ruleset) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bridges := compile(firewall.Ruleset{Networks: full.Networks}, form{}).bridges()
	return b.check(ctx, bridges, func(six bool) rules { return compile(full, b.form(six)) })
}

// Repair implements firewall.Backend, with the other variant as Sync.
func (b *Backend) Repair(ctx context.Context) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.learn(ctx); err != nil {
		return nil, err
	}
	return b.check(ctx, b.families[false].want.bridges(), func(six bool) rules { return b.families[six].want })
}

// check makes the kernel hold the wanted rules, and the fail-closed table those bridges.
func (b *Backend) check(ctx context.Context, bridges []string, want func(six bool) rules) ([]string, error) {
	steps := []func() ([]string, error){
		func() ([]string, error) { return b.syncRules(ctx, want) },
		func() ([]string, error) { return b.setFailClosed(ctx, bridges) },
	}
	if len(bridges) == 0 {
		slices.Reverse(steps)
	}
	var repaired []string
	for _, step := range steps {
		lines, err := step()
		repaired = append(repaired, lines...)
		if err != nil {
			return repaired, fmt.Errorf("check the rules: %w", err)
		}
	}
	return repaired, nil
}

func (b *Backend) syncRules(ctx context.Context, want func(six bool) rules) (repaired []string, err error) {
	left, err := b.follow()
	if err != nil {
		return nil, err
	}
	for _, six := range families() {
		lines, err := b.repair(ctx, six, want(six))
		if err != nil {
			return repaired, err
		}
		for _, l := range lines {
			repaired = append(repaired, l+" ("+b.variant.command(six, "")+")")
		}
	}
	if left != b.variant {
		return repaired, b.clear(ctx, left)
	}
	return repaired, nil
}

// follow moves to the variant that the engine uses, and returns the one that
// was in use until now. Engine chains in both, as a host has them whose
// alternatives changed, leave it as it is.
func (b *Backend) follow() (left variant, err error) {
	left = b.variant
	if len(b.installed) == 1 {
		return left, nil
	}
	if there, err := b.variant.hasEngine(); err != nil || there {
		return left, err
	}
	for _, v := range b.installed {
		if v == b.variant {
			continue
		}
		if there, err := v.hasEngine(); err != nil {
			return left, err
		} else if there {
			b.log.Infof("the engine uses %s: the rules move there", v.command(false, ""))
			b.variant = v
			for _, f := range b.families {
				f.known = nil
			}
		}
	}
	return left, nil
}

// Cleanup implements firewall.Backend, in all variants.
func (b *Backend) Cleanup(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.families = nothingKnown()
	_, all := b.setFailClosed(ctx, nil)
	for _, v := range b.installed {
		all = errors.Join(all, b.clear(ctx, v))
	}
	return all
}

// clear removes everything of gangway from one variant.
func (b *Backend) clear(ctx context.Context, v variant) error {
	if v == legacy && !slices.ContainsFunc(tables, func(t string) bool { return slices.Contains(legacyTables(), t) }) {
		return nil
	}
	for _, six := range families() {
		is, err := v.list(ctx, six, hooks(six))
		if err == nil {
			err = v.restore(ctx, b.log, six, converge(is, nil).String())
		}
		if err != nil {
			return fmt.Errorf("remove the rules from %s: %w", v.command(six, ""), err)
		}
	}
	return nil
}
