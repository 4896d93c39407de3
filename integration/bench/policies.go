package bench

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// The figures of the part about policies.
const (
	newConnections = "new connections"
	firstDatagram  = "first datagram of a flow"
	stream         = "stream"
	streamReturns  = "stream, from outside"
	firstApplied   = "first application, for so many networks: %d"
	entryApplied   = "one entry more or less, for so many networks: %d"
	question       = "question for a name"
)

// policies measures what a container's traffic to the outside costs by a policy of so many entries,
// beside no policy; how long it takes to apply one; and a question for a name through the daemon,
// beside the same question without it. The policies are there side by side, and each round begins
// with another one.
func (r *rig) policies(t testing.TB, m mode, to *Results) {
	r.LAN.Outside.Serve(t, "dns:a.example="+r.LAN.Outside.IPv4, r.LAN.Outside.IPv4+":53")
	defer startOn(t, r.LAN.Outside.Node, r.dir+"/load", "serve", talkPort).stop(t, 9)
	defer startOn(t, r.LAN.Outside.Node, iperf(r.dir, "-s")...).stop(t, 9)
	for _, v := range turns(of(gangway), 0) {
		r.activate(t, v)
		r.policed(t, m, to)
		r.applied(t, m, to)
		r.deactivate(t)
	}
}

// policed measures traffic, and questions.
func (r *rig) policed(t testing.TB, m mode, to *Results) {
	const named = "named"
	sizes := map[string]int{}
	var all []string
	create := func(name string, number int, options ...string) {
		args := append([]string{"network", "create", "-d", r.driver, "--subnet", fmt.Sprintf("10.73.%d.0/24", number)}, options...)
		r.Docker(t, append(args, name)...)
		r.container(t, name, []string{"-v", inside + ":" + inside + ":ro", "--network", name}, "sleep", "1000000")
		all = append(all, name)
	}
	for i, n := range m.entries {
		name, options := fmt.Sprint("entries", n), []string{}
		if n > 0 {
			r.apply(t, name, n, 0)
			options = []string{"-o", "gangway.policy=" + name}
		}
		create(name, i, options...)
		sizes[name] = n
	}
	create(named, len(m.entries), "-o", "gangway.egress=deny", "-o", "gangway.egress.allow=a.example:443,"+r.LAN.Outside.IPv4+":53")
	defer func() {
		for _, name := range all {
			r.timed(t, "rm", "-f", name)
			r.Docker(t, "network", "rm", name)
		}
	}()
	open := all[0]
	for round := range m.policyRounds {
		for _, name := range turns(all[:len(all)-1], round) {
			r.policedOnce(t, m, name, func(what, unit string, value float64) {
				to.add(Figure{Part: partPolicy, Name: what, N: sizes[name], Variant: r.active.Name, Unit: unit}, value)
			})
		}
		for _, name := range turns([]string{open, named}, round) {
			took := r.in(t, name, "question", "a.example", r.LAN.Outside.IPv4+":53", "100")["p50"] // a container may ask 200 a second
			n := map[string]int{named: 1}[name]
			to.add(Figure{Part: partPolicy, Name: question, N: n, Variant: r.active.Name, Unit: "us"}, took)
		}
	}
}

func (r *rig) policedOnce(t testing.TB, m mode, from string, add func(what, unit string, value float64)) {
	at := r.LAN.Outside.IPv4
	r.in(t, from, "connect", at+":"+talkPort, "0.1")
	add(newConnections, "/s", r.in(t, from, "connect", at+":"+talkPort, m.policySeconds)["rate"])
	add(firstDatagram, "us", r.in(t, from, "first", at+":"+talkPort, "2000")["p50"])
	for what, reverse := range map[string][]string{stream: nil, streamReturns: {"-R"}} {
		args := iperf(inside, append([]string{"-J", "-A", affinity(), "-t", m.throughputSeconds, "-c", at}, reverse...)...)
		add(what, "Gbit/s", gigabits(t, r.Docker(t, append([]string{"exec", from}, args...)...)))
	}
}

// in runs a command of load in a container.
func (r *rig) in(t testing.TB, container string, args ...string) map[string]float64 {
	t.Helper()
	return numbers(t, r.Docker(t, append([]string{"exec", container, inside + "/load"}, args...)...))
}

// applied measures how long an administrator waits for a policy that networks name: for one that
// was small, and for one entry more or less of one that is as large.
func (r *rig) applied(t testing.TB, m mode, to *Results) {
	const name = "many"
	for _, networks := range m.policyNetworks {
		r.apply(t, name, 1, 0)
		for i := range networks {
			r.Docker(t, "network", "create", "-d", r.driver, "--subnet", fmt.Sprintf("10.74.%d.0/24", i), "-o", "gangway.policy="+name, fmt.Sprint(name, i))
		}
		for _, n := range m.entries[1:] {
			add := func(what string, took time.Duration) {
				f := Figure{Part: partPolicy, Name: fmt.Sprintf(what, networks), N: n, Variant: r.active.Name, Unit: "s"}
				to.add(f, took.Seconds())
			}
			for range m.applyRounds {
				r.apply(t, name, 1, 0)
				add(firstApplied, r.apply(t, name, n, 0))
				for by := 1; by <= 2; by++ {
					add(entryApplied, r.apply(t, name, n, by%2))
				}
			}
		}
		for i := range networks {
			r.Docker(t, "network", "rm", fmt.Sprint(name, i))
		}
	}
}

// apply has a policy of so many entries counted, of which the first ones are left out, and the
// outside; it returns how long the command took.
func (r *rig) apply(t testing.TB, name string, entries, without int) time.Duration {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "name: %s\negress: deny\negress.allow:\n", name)
	for i := without; i < entries-1; i++ {
		fmt.Fprintf(&text, "  - 10.%d.%d.%d:443/tcp\n", 100+i/62500, i/250%250, 1+i%250)
	}
	fmt.Fprintf(&text, "  - %s\n", r.LAN.Outside.IPv4)
	file := inside + "/" + name + ".yml"
	if err := os.WriteFile(r.Path(file), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timedLimit)
	defer cancel()
	start := time.Now()
	out, err := r.Command(ctx, inside+"/gangway", "policy", "apply", "--socket", "/run/docker/plugins/"+r.driver+".sock", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: policy apply %s of %d entries: %v\n%s", r.active.Name, name, entries, err, out)
	}
	return time.Since(start)
}

// policyTable is what the part about policies has measured, in Markdown; empty if it was not.
func policyTable(r *Results) string {
	if len(r.of(partPolicy)) == 0 {
		return ""
	}
	sizes := policySizes(r)
	var out strings.Builder
	m := r.runOf(partPolicy)
	fmt.Fprintf(&out, "Measured on %s: %d processors (%s), Linux %s, Docker Engine %s, load average %s.\n\n", m.Date, m.CPUs, m.CPU, m.Kernel, m.Engine, m.Load)
	out.WriteString("| traffic | firewall | without a policy |")
	for _, n := range sizes {
		fmt.Fprintf(&out, " %d entries / without |", n)
	}
	out.WriteString("\n|---|---|--:|" + strings.Repeat("--:|", len(sizes)) + "\n")
	for _, what := range []string{newConnections, firstDatagram, stream, streamReturns} {
		for _, v := range of(gangway) {
			fmt.Fprintf(&out, "| %s | %s | %s |", what, v.Name, r.shown(what, 0, v.Name))
			for _, n := range sizes {
				of := func(n int) figureKey { return figureKey{partPolicy, what, n, v.Name} }
				q, rounds, ok := r.quotient(of(n), of(0))
				fmt.Fprintf(&out, " %s |", cell(q, ok, "x")+margin(rounds))
			}
			out.WriteString("\n")
		}
	}
	out.WriteString("\n| `gangway policy apply` | firewall |")
	for _, n := range sizes {
		fmt.Fprintf(&out, " %d entries |", n)
	}
	out.WriteString("\n|---|---|" + strings.Repeat("--:|", len(sizes)) + "\n")
	for _, what := range appliedNames(r) {
		for _, v := range of(gangway) {
			fmt.Fprintf(&out, "| %s | %s |", what, v.Name)
			for _, n := range sizes {
				fmt.Fprintf(&out, " %s |", r.shown(what, n, v.Name))
			}
			out.WriteString("\n")
		}
	}
	out.WriteString("\n| question for a name | firewall | the server alone | through the daemon |\n|---|---|--:|--:|\n")
	for _, v := range of(gangway) {
		fmt.Fprintf(&out, "| median of a container's questions | %s | %s | %s |\n", v.Name, r.shown(question, 0, v.Name), r.shown(question, 1, v.Name))
	}
	return out.String()
}

// shown is the median of a figure about policies.
func (r *Results) shown(name string, n int, variant string) string {
	f := r.index[figureKey{partPolicy, name, n, variant}]
	if f == nil {
		return ""
	}
	return cell(f.Median, true, f.Unit)
}

// policySizes are the numbers of entries that were measured, without none.
func policySizes(r *Results) (all []int) {
	for _, f := range r.of(partPolicy) {
		if f.Name == newConnections && f.N > 0 && f.Variant == NftablesName {
			all = append(all, f.N)
		}
	}
	return all
}

func appliedNames(r *Results) (all []string) {
	seen := map[string]bool{}
	for _, f := range r.of(partPolicy) {
		if f.Unit == "s" && !seen[f.Name] {
			seen[f.Name] = true
			all = append(all, f.Name)
		}
	}
	return all
}
