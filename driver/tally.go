package driver

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/model"
)

// Drops are the packets that Gangway has refused since the daemon's start, by reason.
type Drops map[firewall.Reason]uint64

// Total is how many were refused: what was only to be is not among them.
func (d Drops) Total() (n uint64) {
	for reason, packets := range d {
		if reason != firewall.Audited {
			n += packets
		}
	}
	return n
}

// Reasons are those that there are, the most frequent first.
func (d Drops) Reasons() []firewall.Reason {
	return slices.SortedFunc(maps.Keys(d), func(a, b firewall.Reason) int {
		return cmp.Or(cmp.Compare(d[b], d[a]), cmp.Compare(a, b))
	})
}

// dropSource is who counts: the rules, or the filters of the ports.
type dropSource string

const (
	fromRules dropSource = "rules"
	fromPorts dropSource = "ports"
)

// dropPlace is what packets are counted for. Network and endpoint may be unknown.
type dropPlace struct {
	network, endpoint string
	reason            firewall.Reason
	// by is the entry of a policy.
	by PolicyEntry
}

// reading is what one counter says, and for what it counts at present.
type reading struct {
	counter            string
	place              dropPlace
	packets, overruled uint64
}

// history is what one counter has said.
type history struct {
	// packets and overruled are its last numbers.
	packets, overruled uint64
	// refused and passed are the sums of their steps, told is what was added to the
	// tally of it.
	refused, passed, told uint64
}

// step is by how much a counter went on. One that went back was made anew.
func step(last, now uint64) uint64 {
	if now < last {
		return now
	}
	return now - last
}

// next follows the counter, and returns how many packets more were dropped. The two
// numbers are not of one moment: what was overruled may be told of late, so it is taken
// off what comes next.
func (h *history) next(packets, overruled uint64) (more uint64) {
	h.refused += step(h.packets, packets)
	h.passed += step(h.overruled, overruled)
	h.packets, h.overruled = packets, overruled
	if h.refused > h.passed+h.told {
		more = h.refused - h.passed - h.told
		h.told += more
	}
	return more
}

// tally adds up what counters of the kernel say, which begin anew with whatever they
// belong to. Its own numbers never go back. The zero value is empty.
type tally struct {
	// counters are those that each source had at its last answer.
	counters map[dropSource]map[string]*history
	total    Drops
	// networks and endpoints are by id.
	networks, endpoints map[string]Drops
	// entries are what entries of policies have refused, each packet at the closest place.
	entries map[dropPlace]uint64
	// news is what has come since it was told.
	news map[dropPlace]uint64
}

// take adds what a source says now. Its first answer is where it starts from: what
// was counted before is of an earlier daemon.
func (t *tally) take(from dropSource, list []reading) {
	if t.counters == nil {
		*t = tally{
			counters: map[dropSource]map[string]*history{}, total: Drops{},
			networks: map[string]Drops{}, endpoints: map[string]Drops{}, news: map[dropPlace]uint64{}, entries: map[dropPlace]uint64{},
		}
	}
	before, known := t.counters[from]
	now := make(map[string]*history, len(list))
	for _, r := range list {
		h := before[r.counter]
		if h == nil {
			h = &history{}
		}
		if !known {
			h.packets, h.overruled = r.packets, r.overruled
		}
		now[r.counter] = h
		t.add(r.place, h.next(r.packets, r.overruled))
	}
	t.counters[from] = now
}

func (t *tally) add(p dropPlace, packets uint64) {
	if packets == 0 {
		return
	}
	t.total[p.reason] += packets
	t.news[p] += packets
	if p.by != (PolicyEntry{}) && p.network != "" {
		t.entries[p] += packets
	}
	for _, of := range []struct {
		sums map[string]Drops
		id   string
	}{{t.networks, p.network}, {t.endpoints, p.endpoint}} {
		if of.id == "" {
			continue
		}
		if of.sums[of.id] == nil {
			of.sums[of.id] = Drops{}
		}
		of.sums[of.id][p.reason] += packets
	}
}

// keep forgets what is not there any more; the total stays.
func (t *tally) keep(s *model.State) {
	for id := range t.networks {
		if s.Networks[id] == nil {
			delete(t.networks, id)
		}
	}
	for id := range t.endpoints {
		if s.Endpoints[id] == nil {
			delete(t.endpoints, id)
		}
	}
	for p, packets := range t.entries {
		gone := s.Networks[p.network] == nil
		if gone || p.endpoint != "" && s.Endpoints[p.endpoint] == nil {
			delete(t.entries, p)
			if p.endpoint = ""; !gone {
				t.entries[p] += packets
			}
		}
	}
}

// newsParts bounds a text of news.
const newsParts = 8

// tell returns the news in words, most packets first, and begins anew; "" for none.
func (t *tally) tell() string {
	var all uint64
	places := make([]dropPlace, 0, len(t.news))
	for p, packets := range t.news {
		places, all = append(places, p), all+packets
	}
	slices.SortFunc(places, func(a, b dropPlace) int {
		return cmp.Or(cmp.Compare(t.news[b], t.news[a]), strings.Compare(a.network, b.network),
			strings.Compare(a.endpoint, b.endpoint), strings.Compare(string(a.reason), string(b.reason)), strings.Compare(a.by.String(), b.by.String()))
	})
	var parts []string
	rest := all
	for _, p := range places[:min(newsParts, len(places))] {
		parts = append(parts, fmt.Sprintf("%d %s", t.news[p], p))
		rest -= t.news[p]
	}
	if rest > 0 {
		parts = append(parts, fmt.Sprintf("%d others", rest))
	}
	clear(t.news)
	switch all {
	case 0:
		return ""
	case 1:
		return "1 packet dropped: " + parts[0]
	}
	return fmt.Sprintf("%d packets dropped: %s", all, strings.Join(parts, ", "))
}

// String names the reason and the place.
func (p dropPlace) String() string {
	why := string(p.reason)
	if p.by != (PolicyEntry{}) {
		why += ": " + p.by.String()
	}
	switch {
	case p.endpoint != "":
		return fmt.Sprintf("%s (network %s, endpoint %s)", why, model.Short(p.network), model.Short(p.endpoint))
	case p.network != "":
		return fmt.Sprintf("%s (network %s)", why, model.Short(p.network))
	}
	return why
}
