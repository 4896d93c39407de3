package iptables

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
)

// logging is no chain, as it is in no table: it is there while refused packets are logged
// (firewall.Log). The rules that drop lead to the chain of their reason then, which logs and
// drops: what is accepted is compared with no more rules than before.
var logging = chain{name: "log"}

const logPrefix = ownPrefix + "LOG-"

// logChain is where what is refused in a table for a reason goes.
func logChain(table string, r firewall.Reason) chain {
	return chain{table, logPrefix + strings.ToUpper(string(r))}
}

func logRules(r firewall.Reason) []string {
	return []string{
		fmt.Sprintf("-m limit --limit %d/sec --limit-burst %d -j NFLOG --nflog-prefix %s --nflog-group %d --nflog-size %d",
			firewall.LogRate, firewall.LogBurst, r, firewall.LogGroup, firewall.LogBytes),
		"-j DROP",
	}
}

// changeLog makes a delta's change of logging.
func (r rules) changeLog(d firewall.Delta) {
	if d.Remove.Log {
		delete(r, logging)
	}
	if d.Add.Log {
		r[logging] = []string{"on"}
	}
}

// fillLog has the rules that drop lead to the chains that log. The order of the rules stays.
func (r rules) fillLog() {
	if r[logging] == nil {
		return
	}
	for c, reason := range reasons() {
		to := logChain(c.table, reason)
		if r.retarget(c, " -j DROP", " -j "+to.name) {
			r[to] = logRules(reason)
		}
	}
}

// clearLog takes fillLog back. What the kernel holds does not have logging, but the chains.
func (r rules) clearLog() {
	for c, reason := range reasons() {
		to := logChain(c.table, reason)
		if r.retarget(c, " -j "+to.name, " -j DROP") {
			r[logging] = []string{"on"}
		}
	}
	for c := range r {
		if strings.HasPrefix(c.name, logPrefix) {
			delete(r, c)
		}
	}
}

// retarget gives rules of a chain that end so another end, and says whether there are any.
func (r rules) retarget(c chain, from, to string) (any bool) {
	lines := slices.Clone(r[c])
	for i, l := range lines {
		if rest, ends := strings.CutSuffix(l, from); ends {
			lines[i], any = rest+to, true
		}
	}
	if any {
		r[c] = lines
	}
	return any
}
