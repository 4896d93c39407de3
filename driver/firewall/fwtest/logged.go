package fwtest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/nflog"
)

// logged shows that the kernel tells of what is refused while it is to, with the reason, and
// that the rules are as before when it is not any more.
func (s *suite) logged(t *testing.T) {
	set := setting{engine: "26", policy: "DROP", bridged: true}
	if s.opts.NoIPTables {
		set = setting{policy: "ACCEPT"}
	}
	w := newWorld(t, s.opts, set)
	for _, port := range []string{"v-n1", "v-n2"} {
		w.host.mustCommand(t, "", "bridge", "link", "set", "dev", port, "mcast_flood", "off")
	}
	b := s.backend(t, w.host)
	b.add(t, everything())
	counted := map[firewall.Refusal]uint64{}
	list := w.sentRefused(set)
	if s.opts.ByAddress { // the table goes on to count: it is not made anew
		w.sendAll(t, list, counted)
		b.counts(t, s.opts, "before it is logged", counted)
	}
	with := everything()
	with.Log = true
	b.apply(t, firewall.Delta{Add: firewall.Ruleset{Log: true}})
	b.settled(t, with)
	var heard *nflog.Listener
	w.host.must(t, func() (err error) { heard, err = nflog.Listen(); return err })
	defer heard.Close()
	defer time.AfterFunc(patience, heard.Close).Stop()
	w.sendAll(t, sentAccepted(), nil)
	w.sendAll(t, list, counted)
	b.counts(t, s.opts, "while it is logged", counted)
	want := told(list)
	got := map[string]int{}
	for n := range total(want) {
		r, err := heard.Next()
		if err != nil {
			t.Fatalf("after %d packets: %v", n, err)
		}
		got[fmt.Sprintf("%s %s to %s:%d %s", r.Reason, r.From.Addr(), r.To.Addr(), r.To.Port(), r.Protocol)]++
		if r.In == "" || r.Lost > 0 {
			t.Errorf("%+v: no link, or something is lost", r)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("logged (-want +got):\n%s", d)
	}
	// A backend that finds the rules leaves them so, and one that is to have none removes them.
	b = s.backend(t, w.host)
	b.settled(t, with)
	b = s.backend(t, w.host)
	w.host.must(t, func() error {
		_, err := b.Sync(t.Context(), everything())
		return err
	})
	b.settled(t, everything())
	b.apply(t, firewall.Delta{Add: firewall.Ruleset{Log: true}})
	b.apply(t, firewall.Delta{Remove: firewall.Ruleset{Log: true}})
	b.settled(t, everything())
	b.cleanup(t)
}

// told are the packets that are refused of some datagrams, in words.
func told(list []sent) map[string]int {
	want := map[string]int{}
	for _, c := range list {
		for _, f := range families {
			if c.loopback && f == v6 {
				continue
			}
			as := c.from
			if c.as != "" {
				as = c.as
			}
			want[fmt.Sprintf("%s %s to %s:%d udp", c.reason, addresses[as][f], addresses[c.to][f], c.port)] += perSent
		}
	}
	return want
}

func total(of map[string]int) (n int) {
	for _, each := range slices.Collect(maps.Values(of)) {
		n += each
	}
	return n
}
