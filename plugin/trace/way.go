package trace

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/nftrace"
)

// Step is one thing that happened to a packet in the kernel.
type Step struct {
	// Chain is family, table and name; empty for what is no chain's doing.
	Chain string `json:"chain,omitempty"`
	// Handle is the rule's, 0 for the end of a chain.
	Handle uint64 `json:"handle,omitempty"`
	// Text says all of it in words.
	Text string `json:"text"`
}

// Way is the way of one packet through the kernel.
type Way struct {
	Steps   []Step
	Verdict Verdict
	// finished says that it has come to the end of a hook behind which nothing need follow.
	finished bool
	// bridged says that it came by a port of a bridge.
	bridged bool
	// lost says that it is gone without a rule that dropped it.
	lost bool
	// starts counts where its tracing was turned on.
	starts map[string]int
	// ends are source and destination as they were seen last, and out the link.
	ends [2]netip.AddrPort
	out  uint32
}

// marker knows the steps of the switch itself; it is an *nftrace.Switch.
type marker interface {
	Own(nftrace.Event) bool
	Starts(nftrace.Event) bool
	Ends(nftrace.Event) (ends, up bool)
}

// words turns what the kernel has numbers for into text.
type words interface {
	// Rule is a rule with its chain; Link is a link's name.
	Rule(nftrace.Event) string
	Link(index uint32) string
}

// loopback is the index of lo in every network namespace.
const loopback = 1

// ways puts reports together, packet by packet. One packet has another number after each
// link that receives it, but comes to where tracing is turned on once at most.
func ways(m marker, w words, events []nftrace.Event) (all []*Way) {
	known := map[uint32]*Way{}
	for _, e := range events {
		at := known[e.Packet]
		if m.Starts(e) {
			if at == nil && len(all) > 0 {
				at = all[len(all)-1]
			}
			if at == nil || at.Verdict == Dropped || at.past(e) {
				at = &Way{Verdict: Unknown, starts: map[string]int{}}
				all = append(all, at)
			}
			at.starts[e.Where()]++
			at.bridged = at.bridged || e.Family == unix.NFPROTO_BRIDGE
			known[e.Packet] = at
		}
		if at == nil && m.Own(e) && len(all) > 0 && all[len(all)-1].comesBack() {
			at = all[len(all)-1]
			known[e.Packet] = at
		}
		if at != nil {
			at.take(m, w, e)
		}
	}
	for _, at := range all {
		at.close(w)
	}
	return all
}

// past says that a step where tracing is turned on is another packet's: the way's own has
// been there. With br_netfilter a packet from a bridge comes to prerouting of IP twice, at
// the bridge and behind it; the kernel leaves out the others' chains at the second time.
func (y *Way) past(e nftrace.Event) bool {
	limit := 1
	if e.Family == unix.NFPROTO_INET && y.bridged && !y.finished {
		limit = 2
	}
	return y.starts[e.Where()] >= limit
}

// comesBack says that the packet may be seen again under another number and with another
// destination, for which the switch has no rule: translated and by lo, or translated at a
// bridge with br_netfilter.
func (y *Way) comesBack() bool {
	return y.Verdict != Dropped && !y.finished && (y.out == loopback || y.bridged)
}

// take adds what an event says.
func (y *Way) take(m marker, w words, e nftrace.Event) {
	y.translated(e)
	if e.Out != 0 {
		y.out = e.Out
	}
	y.finished = false
	if m.Own(e) {
		if ends, up := m.Ends(e); up {
			y.finished, y.out = true, 0
		} else if ends {
			y.finished = y.out != loopback // what leaves by lo comes in by it
		}
		return
	}
	switch {
	case e.Kind == nftrace.Rule && !e.Matched(), e.Kind == nftrace.Return:
	case e.Drops() && e.Matched():
		y.drop(e, w.Rule(e))
	case e.Drops():
		y.drop(e, e.Where()+", whose policy is drop")
	case e.Matched():
		y.step(e, w.Rule(e)+handed(e))
	default:
		y.step(e, e.Where()+": accepted by its policy")
	}
}

// handed says where a rule has given a packet away.
func handed(e nftrace.Event) string {
	switch {
	case e.Verdict > 0 && e.Verdict&0xff == nftrace.Queue:
		return ": handed to a program (queue)"
	case e.Verdict == nftrace.Stolen:
		return ": taken by the kernel"
	case e.Verdict == nftrace.Accept:
		return ": accepted"
	}
	return ""
}

func (y *Way) step(e nftrace.Event, text string) {
	y.Steps = append(y.Steps, Step{e.Where(), e.Handle, text})
}

func (y *Way) drop(e nftrace.Event, rule string) {
	y.Verdict = Dropped
	who := ""
	if ownRule(e) {
		who = "Gangway's own "
	}
	y.step(e, "dropped by "+who+rule)
}

// ownRule says whether a chain is one of Gangway's.
func ownRule(e nftrace.Event) bool {
	return e.Table == "gangway" || strings.HasPrefix(e.Table, "gangway-") || strings.HasPrefix(e.Chain, "GANGWAY")
}

// translated notes addresses, and says so where they have changed.
func (y *Way) translated(e nftrace.Event) {
	if !e.Destination.IsValid() {
		return
	}
	switch {
	case !y.ends[1].IsValid():
		y.Steps = append(y.Steps, Step{Text: fmt.Sprintf("a packet from %s to %s", e.Source, e.Destination)})
	case e.Destination != y.ends[1]:
		y.Steps = append(y.Steps, Step{Text: "its destination is now " + e.Destination.String()})
	case e.Source != y.ends[0]:
		y.Steps = append(y.Steps, Step{Text: "its source is now " + e.Source.String()})
	}
	y.ends = [2]netip.AddrPort{e.Source, e.Destination}
}

// close is the last step.
func (y *Way) close(w words) {
	switch {
	case y.Verdict == Dropped:
	case y.finished && y.out == 0:
		y.Verdict = Accepted
		y.Steps = append(y.Steps, Step{Text: "accepted by all chains, for a program of the host"})
	case y.finished:
		y.Verdict = Accepted
		y.Steps = append(y.Steps, Step{Text: fmt.Sprintf("accepted by all chains, leaves by %s", w.Link(y.out))})
	default:
		y.gone()
	}
}

func (y *Way) gone() {
	y.Verdict, y.lost = Dropped, true
	where := "where it came in"
	for _, s := range y.Steps {
		if s.Chain != "" {
			where = s.Chain
		}
	}
	y.Steps = append(y.Steps, Step{Text: "gone behind " + where + ", dropped by no rule of nf_tables: routing, rp_filter, or iptables-legacy"})
}

// chosen is the way that tells most: that of the first packet which a rule has dropped,
// else of the first. The last one may still be under way.
func chosen(all []*Way) *Way {
	for _, y := range all {
		if y.Verdict == Dropped && !y.lost {
			return y
		}
	}
	return all[0]
}
