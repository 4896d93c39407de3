package nftables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
)

// failClosedName is the name of the fail-closed table, in the inet family.
const failClosedName = tableName + "-fail-closed"

// ErrNoFailClosed says that the kernel cannot keep a table from others.
var ErrNoFailClosed = errors.New("the kernel keeps no table of nf_tables from others (Linux 5.12 or newer does)")

// FailClosed is the fail-closed table: it cuts networks off while the rules that isolate
// them are missing. It is for rules that others can take away: those of iptables, and the
// table of package nftables on kernels before 6.9.
//
// It is its connection's (flag owner): a flush of all rules by others leaves it out, and
// every other change by others is refused. What would leave to a bridge of gangway passes
// only with a mark that says that rules of gangway, or the administrator's behind them,
// have accepted it. So does what comes from one, but to ports that others publish. Who has
// no such mark has come by no rule of gangway.
//
//	loopback   raw        containers do not reach the host's 127.0.0.0/8
//	forward    filter+1   behind iptables, and before anybody clears the marks
//
// Bridges are known by their interface group, as by all rules. One that somebody
// takes out of it is known by its name, and cut off.
//
// The kernel removes it with the connection. Rejected: flag persist, which those
// kernels lack; and to drop everything until the next process comes: whoever
// ends the daemon has not asked for his containers to be cut off.
//
// All calls have to come on threads of one network namespace. It is safe for
// concurrent use.
type FailClosed struct {
	log  *logrus.Entry
	mark firewall.Mark
	// keepsMarks leaves the marks to the chain enforce, which looks at them as well. Nothing
	// marks packets while that chain is missing.
	keepsMarks bool
	// idle says that there is to be no table. What a file brings is removed nevertheless.
	idle bool
	mu   sync.Mutex
	wire wire
	// held are the bridges in the table that was this process's at the end of the
	// last call; none, if it had no table.
	held []string
}

// NewFailClosed tries whether the kernel can keep a fail-closed table that heeds these
// marks, without leaving anything there. The log gets each change of the table, with
// debugging. The error of a kernel that cannot matches ErrNoFailClosed.
func NewFailClosed(ctx context.Context, log *logrus.Entry, mark firewall.Mark) (*FailClosed, error) {
	f := &FailClosed{log: log, mark: mark}
	if err := f.trial(ctx); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// trial tries whether the kernel can keep the table.
func (f *FailClosed) trial(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.try(flagOwner); err != nil {
		return fmt.Errorf("try a table with an owner: %w", err)
	}
	return nil
}

// try puts a fail-closed table with these flags into the kernel and removes it in the same
// transaction.
func (f *FailClosed) try(flags uint32) error {
	if _, err := f.wire.open(); err != nil {
		return err
	}
	const name = failClosedName + "-probe"
	err := f.wire.commit(name, flags, func(c *nft.Conn) error {
		defer c.DelTable(table(name))
		return f.write(c, table(name), []string{failClosedName})
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return explain(err)
	}
	return fmt.Errorf("%w: %w", ErrNoFailClosed, err)
}

// Close ends the connection, and with it the fail-closed table.
func (f *FailClosed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wire.close()
	f.held = nil
}

// Sync makes the table for bridges, sorted by name, and removes it if there are none;
// it returns one line for each repair. The rules that give marks have to be there
// before it is made and until it is removed. One that is there is not looked at: nobody
// else can change it. What a file brings by a former name is removed.
func (f *FailClosed) Sync(ctx context.Context, bridges []string) (repaired []string, err error) {
	_, repaired, err = f.sync(ctx, bridges)
	return repaired, err
}

// sync returns as well how many transactions it took.
func (f *FailClosed) sync(ctx context.Context, bridges []string) (writes uint32, repaired []string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh, err := f.wire.open()
	if err != nil {
		return 0, nil, err
	}
	old, err := f.wire.former(ctx, failClosedName, len(bridges) > 0)
	if err != nil {
		return 0, nil, err
	}
	held := len(f.held) > 0
	switch {
	case len(old) > 0:
	case held && fresh: // it went with its connection
		writes, repaired, err = f.replace(ctx, bridges, nil)
		if err == nil && len(repaired) == 0 && len(bridges) > 0 {
			repaired = []string{"table inet " + failClosedName + " was missing"}
		}
		return writes, repaired, err
	case held && slices.Equal(f.held, bridges):
		return 0, nil, nil
	case held && len(bridges) > 0 && f.update(bridges) == nil:
		return 1, nil, nil
	}
	return f.replace(ctx, bridges, old)
}

// replace makes a table for bridges, or none, in place of the one that is there and of old
// ones: in one transaction, since two such tables would take each other's packets for
// unmarked.
func (f *FailClosed) replace(ctx context.Context, bridges, old []string) (writes uint32, repaired []string, err error) {
	is, err := f.find(ctx, len(bridges) > 0)
	if err != nil {
		return 0, nil, fmt.Errorf("look for table inet %s: %w", failClosedName, err)
	}
	f.held = nil
	gone, repaired := making("inet", failClosedName, is, old)
	if len(bridges) == 0 && len(gone) == 0 {
		return 0, nil, nil
	}
	if err := f.set(gone, bridges); err != nil {
		return 0, nil, err
	}
	return 1, repaired, nil
}

// find returns the state of the table; if there is to be one, when no process
// that ends owns it any more.
func (f *FailClosed) find(ctx context.Context, on bool) (state, error) {
	if on {
		return f.wire.claim(ctx, failClosedName)
	}
	return f.wire.look(failClosedName)
}

// set removes tables, and makes today's if there are bridges.
func (f *FailClosed) set(gone, bridges []string) error {
	script := ""
	for _, name := range gone {
		script += "delete table inet " + name + "\n"
	}
	if len(bridges) > 0 {
		script += "add table inet " + failClosedName + "\n" + commands("add", bridges)
	}
	return f.commit(bridges, script, func(c *nft.Conn) error {
		for _, name := range gone {
			c.DelTable(table(name))
		}
		if len(bridges) == 0 {
			return nil
		}
		return f.write(c, table(failClosedName), bridges)
	})
}

// update brings the table that is there to other bridges.
func (f *FailClosed) update(bridges []string) error {
	s := failClosedBridges(table(failClosedName))
	gone, come := without(f.held, bridges), without(bridges, f.held)
	return f.commit(bridges, commands("delete", gone)+commands("add", come), func(c *nft.Conn) error {
		if err := inParts(c.SetDeleteElements, s, elementsOf(gone)); err != nil {
			return err
		}
		return inParts(c.SetAddElements, s, elementsOf(come))
	})
}

// commit makes a change. The script is what nft would do it by, for the log; the rules of
// a table that is made are left out, they are always the same.
func (f *FailClosed) commit(bridges []string, script string, write func(*nft.Conn) error) error {
	f.log.Debugf("nft -f -\n%s", script)
	if err := f.wire.commit(failClosedName, flagOwner, write); err != nil {
		return fmt.Errorf("write table inet %s: %w", failClosedName, explain(err))
	}
	f.held = slices.Clone(bridges)
	return nil
}

// commands are those of nft that add or delete bridges.
func commands(verb string, bridges []string) string {
	var b strings.Builder
	for _, name := range bridges {
		fmt.Fprintf(&b, "%s element inet %s %s { %q }\n", verb, failClosedName, bridgesSet, name)
	}
	return b.String()
}

// without returns those bridges that are none of the others.
func without(bridges, others []string) []string {
	return slices.DeleteFunc(slices.Clone(bridges), func(b string) bool {
		_, found := slices.BinarySearch(others, b)
		return found
	})
}

func elementsOf(bridges []string) []nft.SetElement {
	all := make([]nft.SetElement, len(bridges))
	for i, b := range bridges {
		all[i].Key = []byte(ifname(b))
	}
	return all
}

// failClosedBridges is the set of bridges' names. It is the only one in the table.
func failClosedBridges(t *nft.Table) *nft.Set {
	s := inet().find(bridgesSet).Set
	s.Table, s.ID = t, 1
	return &s
}

// write collects what makes the table.
func (f *FailClosed) write(c *nft.Conn, t *nft.Table, bridges []string) error {
	c.AddTable(t)
	list := f.chains()
	for i := range list {
		list[i].Table = t
		c.AddChain(&list[i].Chain)
	}
	s := failClosedBridges(t)
	if err := c.AddSet(s, nil); err != nil {
		return fmt.Errorf("set %s: %w", bridgesSet, err)
	}
	if err := inParts(c.SetAddElements, s, elementsOf(bridges)); err != nil {
		return err
	}
	for i := range list {
		for _, r := range list[i].rules {
			c.AddRule(&nft.Rule{Table: t, Chain: &list[i].Chain, Exprs: r})
		}
	}
	return nil
}

// chains returns the chains; those that rules lead to come first. What a
// container sends to a foreign bridge may have no mark: flows that were translated by a
// published port are left to the rules of others there.
func (f *FailClosed) chains() []chain {
	filter := nft.ChainTypeFilter
	accepted := rule(markHas(expr.CmpOpNeq, f.mark.Accept), jump("accepted"))
	done := markAs(f.mark, 0)
	if f.keepsMarks {
		done = verdict(expr.VerdictAccept)
	}
	return []chain{
		regular("accepted", rule(done)),
		regular("to_bridge", accepted, rule(verdict(expr.VerdictDrop))),
		regular("from_bridge", accepted,
			rule(ctBits(expr.CtKeySTATUS, ctDestNAT), jump("accepted")),
			rule(verdict(expr.VerdictDrop))),
		base("loopback", filter, nft.ChainHookPrerouting, *nft.ChainPriorityRaw,
			rule(ifGroup(expr.MetaKeyIIFGROUP), family4(), loopback4(16), verdict(expr.VerdictDrop)),
			rule(family4(), loopback4(16), strayIn(), verdict(expr.VerdictDrop))),
		base("forward", filter, nft.ChainHookForward, *nft.ChainPriorityFilter+1,
			rule(ifGroup(expr.MetaKeyOIFGROUP), jump("to_bridge")),
			rule(strayOut(), verdict(expr.VerdictDrop)),
			rule(ifGroup(expr.MetaKeyIIFGROUP), jump("from_bridge")),
			rule(strayIn(), verdict(expr.VerdictDrop))),
	}
}
