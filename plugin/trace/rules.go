package trace

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/gangway-net/gangway/driver/nftrace"
)

// listTime bounds one question to the program nft.
const listTime = 5 * time.Second

// names are the kernel's words of the moment: rules as the program nft lists them, where it
// is installed, and links.
type names struct {
	ctx    context.Context
	chains map[string]map[uint64]string
}

func namesOf(ctx context.Context) *names {
	return &names{ctx: ctx, chains: map[string]map[uint64]string{}}
}

// Link is a link's name.
func (n *names) Link(index uint32) string {
	link, err := net.InterfaceByIndex(int(index))
	if err != nil {
		return fmt.Sprintf("link %d", index)
	}
	return link.Name
}

// Rule names a rule by its place in the chain and its words, else by its handle.
func (n *names) Rule(e nftrace.Event) string {
	where := e.Where()
	if _, known := n.chains[where]; !known {
		ctx, cancel := context.WithTimeout(n.ctx, listTime)
		defer cancel()
		// What cannot be listed is known by its handle.
		text, _ := exec.CommandContext(ctx, "nft", append([]string{"-a", "-s", "list", "chain"}, strings.Fields(where)...)...).Output() //nolint:gosec // a chain that the kernel has named
		n.chains[where] = parseChain(string(text))
	}
	if text, known := n.chains[where][e.Handle]; known {
		return where + " " + text
	}
	return fmt.Sprintf("%s rule with handle %d", where, e.Handle)
}

// handleMark is between a rule and its handle.
const handleMark = " # handle "

// parseChain reads what "nft -a list chain" prints: "rule 1 (tcp dport 80 drop)" by handle.
func parseChain(text string) map[uint64]string {
	rules := map[uint64]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		at := strings.LastIndex(line, handleMark) // comments may have it as well
		if at < 0 || strings.HasSuffix(line[:at], "{") {
			continue
		}
		rule := line[:at]
		handle, err := strconv.ParseUint(line[at+len(handleMark):], 10, 64)
		if err != nil {
			continue
		}
		// Counters without their numbers say nothing.
		rule = strings.ReplaceAll(" "+rule+" ", " counter ", " ")
		rules[handle] = fmt.Sprintf("rule %d (%s)", len(rules)+1, strings.TrimSpace(rule))
	}
	return rules
}
