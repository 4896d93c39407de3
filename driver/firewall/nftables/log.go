package nftables

import (
	"fmt"
	"slices"
	"strings"

	nft "github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/policy"
)

// logName stands for firewall.Log among the names of sets. Its item is written into the
// chains that refuse, as their first rule, which comes and goes in one transaction. A chain
// that is empty as long as nobody looks was the alternative: one more expression on the way of
// all that is refused.
const logName = "log"

func logItem() item { return item{key: "refused"} }

// logChains are the chains that only refused packets come to, and why.
func logChains() map[string]firewall.Reason {
	return map[string]firewall.Reason{
		"refused_within": firewall.NoICC, "refused_between": firewall.Isolated, "refused_outside": firewall.Unpublished,
		"refused_from": firewall.Isolated, "spoofed": firewall.Spoofed, "martian": firewall.Spoofed,
	}
}

// logs says whether the items are of a table that logs, and logsAfter whether it does after a
// change.
func (c contents) logs() bool { return len(c[logName]) > 0 }

func (c contents) logsAfter(by change) bool {
	return c.logs() && !by.gone.logs() || by.fresh.logs()
}

// withLog puts the rule that logs into the chains.
func withLog(all []chain, m firewall.Mark) []chain {
	for i, c := range all {
		reason, refuses := logChains()[c.Name]
		if !refuses {
			continue
		}
		logs := [][]expr.Any{logRefused(reason, "")}
		if strings.HasPrefix(c.Name, "refused_") { // what is overruled comes here once more
			logs = [][]expr.Any{
				rule(markHas(expr.CmpOpEq, m.Accept), logRefused(reason, "")),
				rule(markHas(expr.CmpOpNeq, m.Accept), logRefused(reason, firewall.Overruled)),
			}
		}
		all[i].rules = slices.Insert(slices.Clone(c.rules), 0, logs...)
	}
	return all
}

// logRefused tells of a packet, as far as the bound lets it. A policy's option stands behind
// the reason.
func logRefused(reason firewall.Reason, option policy.Option) []expr.Any {
	return []expr.Any{
		&expr.Limit{Type: expr.LimitTypePkts, Rate: firewall.LogRate, Unit: expr.LimitTimeSecond, Burst: firewall.LogBurst},
		&expr.Log{
			Key:   1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX | 1<<unix.NFTA_LOG_SNAPLEN,
			Group: firewall.LogGroup, Snaplen: firewall.LogBytes, Data: []byte(firewall.LogPrefix(reason, option)),
		},
	}
}

// listLog says whether a chain has the rule, and puts the item for it. One that has another
// rule is not as it should be.
func (k *kernel) listLog(c *nft.Chain, items contents) (bool, error) {
	if c == nil {
		return false, nil
	}
	rules, err := k.conn.GetRules(c.Table, c)
	for _, r := range rules {
		if slices.ContainsFunc(r.Exprs, func(e expr.Any) bool { _, is := e.(*expr.Log); return is }) {
			items.put(logName, logItem())
			return true, err
		}
	}
	return false, err
}

// changesLog says whether the transaction changes whether it logs.
func (tx transaction) changesLog() bool {
	return !tx.create && !tx.remove && len(tx.gone[logName])+len(tx.fresh[logName]) > 0
}

// changeLog replaces the rules of the chains that refuse, unless they come with the table.
func (tx transaction) changeLog(c *nft.Conn, t *nft.Table) {
	if !tx.changesLog() {
		return
	}
	for _, of := range chains(t, tx.mark, tx.high, tx.log) {
		if _, refuses := logChains()[of.Name]; !refuses {
			continue
		}
		c.FlushChain(&of.Chain)
		for _, r := range of.rules {
			c.AddRule(&nft.Rule{Table: t, Chain: &of.Chain, Exprs: r})
		}
	}
}

// logComment tells of it among commands of nft.
func (tx transaction) logComment() string {
	if !tx.changesLog() {
		return ""
	}
	return fmt.Sprintf("# chains that refuse: log group %d: %t\n", firewall.LogGroup, tx.log)
}
