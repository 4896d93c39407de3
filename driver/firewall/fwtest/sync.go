package fwtest

import (
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/integration/testkit"
)

// sync shows what Sync does without damage, and what Cleanup leaves.
func (s *suite) sync(t *testing.T) {
	full, less := bulk(4, 4), bulk(2, 3)
	h := newHost(t, s.opts, bare)
	before := dump(t, h)
	b := s.backend(t, h)
	if lines := b.repair(t); lines != nil {
		t.Errorf("Repair of nothing repaired %q", lines)
	}
	if lines := b.sync(t, firewall.Ruleset{}); lines != nil {
		t.Errorf("Sync of nothing repaired %q", lines)
	}
	sameDump(t, "Sync of nothing", dump(t, h), before)

	b.reports(t, "an empty host", full)
	want := dump(t, h)
	stamp := identities(t, h)
	b.settled(t, full)
	b = s.backend(t, h)
	if lines := b.repair(t); lines != nil {
		t.Errorf("Repair of what another has left repaired %q", lines)
	}
	b.settled(t, full)
	if got := identities(t, h); !slices.Equal(got, stamp) {
		t.Errorf("Sync wrote with nothing to do: %q", minus(got, stamp))
	}
	slices.Reverse(full.Networks)
	slices.Reverse(full.Ports)
	b.settled(t, full)

	// What a daemon that crashed left behind goes, what it lost comes.
	other := s.backend(t, h)
	other.reports(t, "more than there should be", less)
	sameDump(t, "Sync with less", dump(t, h), s.fresh(t, bare, less))
	other.reports(t, "less than there should be", full)
	sameDump(t, "Sync with more", dump(t, h), want)

	for range 2 {
		s.backend(t, h).cleanup(t)
		sameDump(t, "after Cleanup", dump(t, h), before)
	}
}

// reports demands that Sync says what it repairs, and then is content.
func (b *backend) reports(t *testing.T, damage string, full firewall.Ruleset) {
	t.Helper()
	b.reported(t, damage, b.sync(t, full), full)
}

// repairs is reports for what the backend was told.
func (b *backend) repairs(t *testing.T, damage string, full firewall.Ruleset) {
	t.Helper()
	b.reported(t, damage, b.repair(t), full)
}

func (b *backend) reported(t *testing.T, damage string, lines []string, full firewall.Ruleset) {
	t.Helper()
	if len(lines) == 0 || slices.Contains(lines, "") {
		t.Errorf("%s: reported %q, want a line for each repair", damage, lines)
	}
	if again := b.repair(t); again != nil {
		t.Errorf("%s: repaired once more: %q", damage, again)
	}
	b.settled(t, full)
}

// repairs breaks the rules in every way and lets Sync repair them.
func (s *suite) repairs(t *testing.T) {
	full := withPeers(bulk(2, 3))
	h := newHost(t, s.opts, bare)
	before := dump(t, h)
	objects := mustObjects(t, h)
	b := s.backend(t, h)
	b.add(t, full)
	want := dump(t, h)
	damages := append(damagesIPTables(minus(want, before)), damagesNative(objects, mustObjects(t, h))...)
	if len(damages) < 10 {
		t.Fatalf("found only %d ways to break the rules of %s:\n%s", len(damages), b.Name(), strings.Join(want, "\n"))
	}
	for _, d := range thinned(damages) {
		switch err := d.do(h); {
		case d.native() && (s.opts.Owned || forbidden(err)):
			if err == nil {
				t.Errorf("%s: nobody has refused it", d.name)
			}
			sameDump(t, d.name, dump(t, h), want)
			continue
		case err != nil:
			t.Fatalf("%s: %v", d.name, err)
		}
		if slices.Equal(dump(t, h), want) {
			continue // such as the last rule of a chain, moved to its end
		}
		b.repairs(t, d.name, full)
		sameDump(t, d.name, dump(t, h), want)
		if t.Failed() {
			t.FailNow()
		}
	}
	if !s.opts.NoIPTables {
		s.policies(t, h, b, full, want)
		t.Run("all flushed", s.flushed)
		t.Run("misplaced", s.misplaced)
	}
	b.cleanup(t)
	sameDump(t, "after Cleanup", dump(t, h), before)
}

// mustObjects are the native objects of a host; a host without nft has none.
func mustObjects(t *testing.T, h *node) []nftObject {
	t.Helper()
	if !slices.ContainsFunc(dump(t, h), isNative) {
		return nil
	}
	objects, err := nftObjects(h)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// policies shows that the policy of shared chains is nobody's but the
// administrator's.
func (s *suite) policies(t *testing.T, h *node, b *backend, full firewall.Ruleset, want []string) {
	t.Helper()
	for _, policy := range [...]string{"ACCEPT", "DROP"} {
		for _, f := range families {
			h.mustCommand(t, "", s.opts.tool(f), "--wait", "-P", "FORWARD", policy)
		}
		changed := dump(t, h)
		b.settled(t, full)
		sameDump(t, "policy "+policy, dump(t, h), changed)
	}
	sameDump(t, "policy as before", dump(t, h), want)
}

// thinned are all damages, in short every third, and every tenth on an emulated processor.
func thinned(all []damage) (some []damage) {
	stride := 1
	switch {
	case testkit.OtherKernel():
		stride = 10
	case testing.Short():
		stride = 3
	}
	for i := 0; i < len(all); i += stride {
		some = append(some, all[i])
	}
	return some
}

// damage is one way to break the rules.
type damage struct {
	name string
	do   func(h *node) error
}

// native says whether it is done to a native table.
func (d damage) native() bool { return strings.HasPrefix(d.name, "nft ") }

// misplaced shows that Sync finds the way back to the place where the hooks
// must be, when others have put theirs before them.
func (s *suite) misplaced(t *testing.T) {
	probes := []probe{
		{"outside", "tcp", "host", 8080, "a1:80 outside"},
		{"outside", "tcp", "host", 8090, dropped}, // by the administrator
		{"a1", "tcp", "outside", 80, "outside:80 host"},
		{"d1", "tcp", "a1", 80, dropped},
		{"a1", "tcp", "d1", 80, dropped},
		{"i1", "tcp", "outside", 80, dropped},
	}
	w := newWorld(t, s.opts, setting{engine: "26", policy: "DROP"})
	before := dump(t, w.host)
	b := s.backend(t, w.host)
	b.add(t, everything())
	ours := minus(dump(t, w.host), before)
	s.both(t, w.host, "-I DOCKER-USER -o "+networkB.Bridge+" -p tcp -j DROP")
	w.check(t, probes)
	for _, command := range [...]string{"-A", "-I"} {
		t.Run("hooks moved by "+command, func(t *testing.T) {
			for _, text := range ours {
				l, ok := parseSaveLine(text)
				if !ok || l.op != "-A" || slices.Contains(ours, l.tool+" "+l.table+" :"+l.chain+" -") {
					continue
				}
				if err := l.script(l.with("-D"), l.with(command))(w.host); err != nil {
					t.Fatal(err)
				}
			}
			b.sync(t, everything())
			b.settled(t, everything())
			w.check(t, probes)
		})
	}
	t.Run("rules of the engine put before", func(t *testing.T) {
		s.both(t, w.host,
			"-I FORWARD -i docker0 ! -o docker0 -j ACCEPT",
			"-I FORWARD -i "+networkI.Bridge+" -j ACCEPT",
			"-D FORWARD -j DOCKER-USER",
			"-I FORWARD -j DOCKER-USER")
		b.sync(t, everything())
		b.settled(t, everything())
		w.check(t, probes)
	})
}

// forbidden says whether the kernel keeps others from doing it.
func forbidden(err error) bool {
	return err != nil && strings.Contains(err.Error(), "Operation not permitted")
}

// both runs commands in the filter tables of both families.
func (s *suite) both(t *testing.T, h *node, commands ...string) {
	t.Helper()
	for _, f := range families {
		if err := restore(h, s.opts, f, "*filter\n"+strings.Join(commands, "\n")+"\nCOMMIT\n"); err != nil {
			t.Fatal(err)
		}
	}
}
