package bench

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// docs is where a full run writes, drafts where others do.
const (
	docs   = moduleRoot + "/docs/bench"
	drafts = moduleRoot + "/build/bench"
	page   = moduleRoot + "/docs/performance.md"
)

// BenchmarkAll is make bench: everything, once (-benchtime 1x), with a table at
// the end. PARTS names the parts to measure. BENCH=quick measures less, and leaves the
// documentation as it is.
func BenchmarkAll(b *testing.B) {
	m := modeOf(b)
	to := newResults(m.name)
	only := os.Getenv("PARTS")
	for _, d := range []string{drafts, docs} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	run := func(name string, part func(testing.TB, mode, *Results)) {
		if only != "" && !strings.Contains(" "+only+" ", " "+name+" ") {
			return
		}
		fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), name)
		part(b, m, to)
		// What is measured is not lost if a later part fails.
		if err := to.Save(filepath.Join(drafts, "results.json")); err != nil {
			b.Fatal(err)
		}
	}
	everything(b, m, to, run)
	to.finish()
	if m.name != full().name {
		publishResults(b, to, drafts)
		return
	}
	older, err := Load(filepath.Join(docs, "results.json"))
	if err != nil {
		b.Fatal(err)
	}
	publishResults(b, to.over(older), docs)
}

// everything goes through all parts of a run.
func everything(t testing.TB, m mode, to *Results, run func(name string, part func(testing.TB, mode, *Results))) {
	run(partAddresses, addresses)
	run(partVerbs, verbs)
	run(partPeers, comparePeers)
	run(partProfile, profiles)
	r := newRig(t)
	to.Runs[0].Engine = r.Version(t)
	run(partStart, r.starts)
	run(partProxies, r.proxies)
	run(partTraffic, r.traffic)
	run(partThroughput, r.throughput)
	run(partParallel, r.parallel)
	run(partNetworks, r.networks)
	run(partHeal, r.heals)
	run(partCrowd, r.crowds)
	run(partPolicy, r.policies)
}

// TestEveryPartMeasures keeps the benchmarks from rotting: each part, as small
// as it can be, measures every variant.
func TestEveryPartMeasures(t *testing.T) {
	tiny := mode{
		name: "tiny", ports: []int{0, 1}, builtinPorts: 1, startRounds: rounds{1, 1},
		trafficPorts: []int{1}, trafficRounds: rounds{whole: 1}, trafficSeconds: "1", throughputRounds: rounds{whole: 1}, throughputSeconds: "1", talkSeconds: "0.1",
		containers: []int{2}, parallelRounds: 1, networks: 10, crowds: []crowd{{2, 0}, {2, 2}}, crowdRounds: 1, crowdSamples: 1, healRounds: 1, profileRounds: 1, profilePackets: 100,
		endpoints: []int{0, 2}, portsEach: 2, verbs: 2, verbRounds: rounds{1, 1},
		peerPorts: []int{0, 1}, peersThere: []int{0, 2}, peerRounds: 1,
		entries: []int{0, 3}, policyNetworks: []int{2}, policyRounds: 1, applyRounds: 1, policySeconds: "0.1",
	}
	to := newResults(tiny.name)
	everything(t, tiny, to, func(name string, part func(testing.TB, mode, *Results)) {
		part(t, tiny, to)
		if len(to.of(name)) == 0 {
			t.Errorf("part %s measured nothing", name)
		}
	})
	for _, f := range to.Figures {
		if math.IsNaN(f.Median) || f.Median < 0 {
			t.Errorf("%s, %s of %s: %v", f.Part, f.Name, f.Variant, f.Samples)
		}
	}
	for _, s := range sections() {
		if s.table(to) == "" {
			t.Errorf("no table %q", s.title)
		}
	}
	if profileTable(to) == "" {
		t.Error("no table of the profile")
	}
	if policyTable(to) == "" {
		t.Error("no table of policies")
	}
	if breakdown(to) == "" {
		t.Error("no breakdown of a container's start")
	}
}

// publishResults writes everything that a run leaves.
func publishResults(t testing.TB, to *Results, dir string) {
	t.Helper()
	if err := to.Save(filepath.Join(dir, "results.json")); err != nil {
		t.Fatal(err)
	}
	if err := writePlots(to, dir); err != nil {
		t.Fatal(err)
	}
	report, profile, policies := Report(to), profileTable(to), policyTable(to)
	fmt.Fprintln(os.Stderr, report+profile+policies)
	if dir != docs {
		return
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]string{"bench": report, "profile": profile, "policy": policies} {
		if block != "" {
			text = replaceBlock(t, text, name, block)
		}
	}
	if err := os.WriteFile(page, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// replaceBlock puts a generated block between the two lines that have its name.
func replaceBlock(t testing.TB, text []byte, name, block string) []byte {
	t.Helper()
	start, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(string(text), start)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no %q … %q", page, start, end)
	}
	return []byte(before + start + block + end + after)
}

// BenchmarkLife is what the calls of one container's life take, with so many
// endpoints present, and the median of each.
func BenchmarkLife(b *testing.B) {
	dir := b.TempDir()
	programs(b, dir)
	for _, v := range of(gangway, floor) {
		b.Run(v.Name, func(b *testing.B) {
			s := newStation(b, v, dir)
			have := 0
			for _, n := range []int{0, 100} {
				s.fill(b, have, n, 10)
				have = n
				net := s.network(b)
				b.Run(fmt.Sprint("endpoints=", n), func(b *testing.B) {
					times := map[string][]float64{}
					note := func(op string, took time.Duration) {
						_, verb, _ := strings.Cut(op, ".")
						times[verb] = append(times[verb], float64(took.Microseconds()))
					}
					for b.Loop() {
						e := member(net, 0)
						e.first, e.ports = 40000, 1
						s.come(b, e, note)
						s.leave(b, e, note)
					}
					for verb, took := range times {
						b.ReportMetric(quantile(took, 0.5), "us/"+verb)
					}
				})
			}
		})
	}
}
