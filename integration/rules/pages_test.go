package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/integration/golden"
)

// pagesFolder is where users find the pages.
var pagesFolder = filepath.Join("..", "..", "docs", "rules")

// generated is the first line of each page.
const generated = "<!-- Written by the tests: go test ./integration/rules -update -->\n"

// testPages: docs/rules says what the golden files say, and they are what the
// kernel says.
func testPages(t *testing.T) {
	p := &pages{t: t, x: allExplanations(t), hooks: hooks(t)}
	want := map[string]string{"README.md": p.overview(), "nftables.md": p.nftables(), "iptables.md": p.iptables(), "ways.md": p.more()}
	for _, s := range scenarios() {
		want[s.file+".md"] = p.scenario(s)
	}
	files, err := filepath.Glob(filepath.Join(pagesFolder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, known := want[filepath.Base(f)]; known {
			continue
		}
		if !golden.Updating() {
			t.Errorf("%s is no page; -update removes it", f)
		} else if err := os.Remove(f); err != nil {
			t.Error(err)
		}
	}
	checkLinks(t, want)
	for name, page := range want {
		golden.Compare(t, filepath.Join(pagesFolder, name), generated+page)
	}
}

// pages writes the pages.
type pages struct {
	t *testing.T
	x *explanations
	// hooks say where chains are hooked in.
	hooks map[string]string
}

// hooks reads where the chains of nf_tables are hooked in.
func hooks(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, line := range append(read(t, "constant", "nftables"), read(t, "constant", "iptables")...) {
		for _, p := range parse(line) {
			if f := strings.Fields(strings.ReplaceAll(p.text, ";", "")); len(f) > 5 && f[0] == "type" && f[2] == "hook" {
				all[p.at] = fmt.Sprintf("hook %s, type %s, priority %s", f[3], f[1], strings.Join(f[5:slices.Index(f, "policy")], " "))
			}
		}
	}
	return all
}

// overview fills in the front page.
func (p *pages) overview() string {
	text, err := os.ReadFile(filepath.Join("testdata", "overview.md"))
	if err != nil {
		p.t.Fatal(err)
	}
	tmpl, err := template.New("overview").Funcs(template.FuncMap{
		"ways": p.ways, "sets": p.sets, "scenarios": p.contents,
	}).Parse(string(text))
	if err != nil {
		p.t.Fatal(err)
	}
	var b strings.Builder
	if err := tmpl.Execute(&b, nil); err != nil {
		p.t.Fatal(err)
	}
	return b.String()
}

// contents lists the pages about scenarios.
func (p *pages) contents() string {
	var b strings.Builder
	for _, s := range scenarios() {
		fmt.Fprintf(&b, "* [%s](%s.md)\n", s.title, s.file)
	}
	return b.String()
}

// sets lists the sets and maps of nftables.
func (p *pages) sets() string {
	var b strings.Builder
	for _, e := range nftablesSets() {
		name := "`" + e.at + "`"
		if stem, family := strings.CutSuffix(e.at, "4"); family {
			name += ", `" + stem + "6`"
		}
		fmt.Fprintf(&b, "* %s: %s\n", name, e.why)
	}
	return b.String()
}

// nftables is the page about what all networks share in nftables.
func (p *pages) nftables() string {
	var b strings.Builder
	b.WriteString("# What is constant: nftables\n\nTable `inet gangway`, from the first network to the last one. " +
		"Its rules never change, but for the source ports of `high_port4` and `high_port6`; what differs from network to network is in [sets and maps](README.md#what-changes). " +
		"Chains are in the order in which a packet meets them. Those for IPv6, `open6` and `ports6`, and its rules elsewhere are the same " +
		"with IPv6's sets, and left out.\n\n" +
		"`nft list` shows `flags owner,persist` in its first lines with Linux 6.9 or newer (older nft only some of it): nobody but the running Gangway " +
		"can change or flush the table, see [firewalls.md](../firewalls.md#gangways-own-table). " +
		"On older kernels there is the [fail-closed table](iptables.md#in-nf_tables-the-fail-closed-table) beside it.\n")
	lines := read(p.t, "constant", "nftables")
	for _, e := range nftablesChains() {
		if e.rule == "" {
			p.chain(&b, e, lines)
		}
	}
	b.WriteString("\n# In iptables: the FORWARD hook\n\nOnly where the FORWARD chain of an iptables decides anything, as with an engine. " +
		"The rules are the same for IPv6, in ip6tables.\n")
	for _, at := range []string{"filter FORWARD", "filter GANGWAY-FORWARD", "filter GANGWAY-NEIGHBOURS"} {
		p.chain(&b, explanation{at: at, why: p.x.of(p.t, at, "")}, lines)
	}
	return b.String()
}

// iptables is the page about what all networks share in iptables, and where
// the rules of each stand.
func (p *pages) iptables() string {
	var b strings.Builder
	b.WriteString("# What is constant: iptables\n\nChains and rules from the first network to the last one, in iptables and ip6tables. " +
		"What differs from network to network are rules in `GANGWAY-INTERNAL`, `GANGWAY-ICC`, `GANGWAY-OPEN`, `GANGWAY-DNAT` and `GANGWAY-SNAT`; " +
		"they carry a comment with the start of the network's id and, for ports, the endpoint's. The hooks in nat are there as long as such a rule is behind them. " +
		"Chains are in the order in which a packet meets them; names in capitals stand for what differs.\n")
	lines := read(p.t, "constant", "iptables")
	for _, e := range iptablesRules() {
		if e.rule != "" {
			continue
		}
		p.chain(&b, e, lines)
		p.variable(&b, e.at)
	}
	p.failClosed(&b, lines)
	b.WriteString("\n# The way of a packet\n\nAs on the [front page](README.md#the-way-of-a-packet), with this backend.\n")
	for _, j := range journeys() {
		b.WriteString(p.way("iptables", j))
	}
	return b.String()
}

// failClosed writes what is in nf_tables for the case that rules are missing.
func (p *pages) failClosed(b *strings.Builder, lines []string) {
	b.WriteString("\n# In nf_tables: the fail-closed table\n\nTable `inet gangway-fail-closed`, with Linux 5.12 or newer. It belongs to the running Gangway: others can neither " +
		"flush nor change it, and it goes when Gangway ends. While rules of Gangway are missing it cuts its networks off, so that they are not open " +
		"until the repair. Without it there is no mark either.\n")
	for _, e := range failClosedChains() {
		if e.rule == "" {
			p.chain(b, e, lines)
		}
	}
}

// chain writes a chain with its rules among the lines; of the rules that both
// families have, the first.
func (p *pages) chain(b *strings.Builder, e explanation, lines []string) {
	fmt.Fprintf(b, "\n## %s\n\n", strings.TrimPrefix(e.at, "chain "))
	if hook := p.hooks[e.at]; hook != "" {
		fmt.Fprintf(b, "*%s.* ", hook)
	}
	fmt.Fprintf(b, "%s\n", e.why)
	done := map[string]bool{}
	for _, line := range lines {
		for _, x := range parse(line) {
			if x.at != e.at || x.rule == "" || done[x.rule] {
				continue
			}
			done[x.rule] = true
			fmt.Fprintf(b, "\n    %s\n\n%s\n", strings.TrimPrefix(x.text, "-A "+x.at[strings.IndexByte(x.at, ' ')+1:]+" "), p.x.of(p.t, x.at, x.rule))
		}
	}
}

// variable writes the rules of a chain that differ from network to network.
func (p *pages) variable(b *strings.Builder, at string) {
	constant := map[string]bool{}
	for _, line := range read(p.t, "constant", "iptables") {
		for _, x := range parse(line) {
			constant[x.at+" "+x.rule] = true
		}
	}
	for _, e := range iptablesRules() {
		if e.at == at && e.rule != "" && !constant[at+" "+e.rule] {
			fmt.Fprintf(b, "\n    %s\n\n%s\n", e.rule, e.why)
		}
	}
}

// ways are the journeys of the front page, or the others.
func (p *pages) ways(front bool) string {
	var b strings.Builder
	for _, j := range journeys() {
		if j.front == front {
			b.WriteString(p.way("nftables", j))
		}
	}
	return b.String()
}

// more is the page about the other journeys.
func (p *pages) more() string {
	return "# More ways of a packet\n\nOn the host of the [front page](README.md#the-way-of-a-packet), with nftables; " +
		"[the same with iptables](iptables.md#the-way-of-a-packet).\n" + p.ways(false)
}

// way tells of one journey.
func (p *pages) way(backend string, j journey) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n", j.title)
	number := 0
	hooked := map[string]bool{}
	for _, line := range read(p.t, filepath.Join("paths", backend), j.name) {
		switch {
		case strings.HasPrefix(line, "packet "):
			fmt.Fprintf(&b, "The first %s.\n\n", line)
		case strings.HasPrefix(line, "arrives "):
			fmt.Fprintf(&b, "\nIt %s.\n", line)
		case line == "answer":
			b.WriteString("\nThe answer:\n\n")
			number, hooked = 0, map[string]bool{}
		case line == unseen:
			b.WriteString("No rule sees it: it passes from one port of the bridge to the other.\n")
		default:
			number++
			p.step(&b, number, line, hooked)
		}
	}
	return b.String()
}

// step tells of one step; hooked holds the chains where the packet was before.
func (p *pages) step(b *strings.Builder, number int, line string, been map[string]bool) {
	for _, x := range parse(line) {
		name := x.at[strings.IndexByte(x.at, ' ')+1:]
		where := "**" + name + "**"
		if hook := p.hooks[x.at]; hook != "" && !been[x.at] {
			where += " (" + hook + ")"
		} else if hook == "" && !strings.HasPrefix(x.at, "chain ") {
			where = "**" + x.at + "**"
		}
		_, mark, marked := strings.Cut(line, " | mark ")
		switch {
		case x.rule != "":
			fmt.Fprintf(b, "%d. %s: `%s`. %s", number, where, strings.TrimPrefix(x.text, "-A "+name+" "), p.x.of(p.t, x.at, x.rule))
			if marked {
				fmt.Fprintf(b, " The mark is now %s.", mark)
			}
			b.WriteString("\n")
		case been[x.at]:
			fmt.Fprintf(b, "%d. %s: ends; the packet goes on.\n", number, where)
		default:
			fmt.Fprintf(b, "%d. %s: nothing to do for this packet.\n", number, where)
		}
		been[x.at] = true
	}
}

// scenario writes the page of one.
func (p *pages) scenario(s scenario) string {
	rows := matrix()
	i := slices.IndexFunc(rows, func(c combination) bool {
		return c.create == s.create && c.run == s.run && !c.adopted && !c.bridged
	})
	if i < 0 {
		p.t.Fatalf("%s: no combination is like it", s.file)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", s.title)
	for n, w := range wishes(s.create, s.run) {
		b.WriteString(commands(p.t, n, w))
	}
	fmt.Fprintf(&b, "\n%s\n", s.says)
	lines := read(p.t, "rules", rows[i].rules)
	b.WriteString("\n## With nftables\n\nElements of sets and maps in `table inet gangway`; the chains that look at them are [constant](nftables.md).\n")
	p.added(&b, lines, nftablesSets())
	b.WriteString("\n## With iptables\n\nRules in Gangway's chains, and what leads there, beside what is [constant](iptables.md).\n")
	p.added(&b, lines, iptablesRules())
	b.WriteString("\n## Links and switches\n\n")
	p.settings(&b, read(p.t, "links", rows[i].links))
	if len(s.ways) > 0 {
		b.WriteString("\n## The way of a packet\n\n")
	}
	for _, name := range s.ways {
		k := slices.IndexFunc(journeys(), func(j journey) bool { return j.name == name })
		if k < 0 {
			p.t.Fatalf("%s: no journey %s", s.file, name)
		}
		title, page := journeys()[k].title, "ways.md"
		if journeys()[k].front {
			page = "README.md"
		}
		fmt.Fprintf(&b, "* %s: [nftables](%s#%s), [iptables](iptables.md#%s)\n", title, page, anchor(title), anchor(title))
	}
	return b.String()
}

// commands are what the user types.
func commands(t *testing.T, n int, w wish) string {
	t.Helper()
	name := []string{"front", "back"}[n]
	create := "    docker network create -d gangway:latest"
	for arg := range strings.FieldsSeq(strings.ReplaceAll(w.create, "-o ", "-o=")) {
		if option, is := strings.CutPrefix(arg, "-o="); is {
			short, value, _ := strings.Cut(option, "=")
			arg = "-o " + fullName(t, config.ForNetwork, short) + "=" + value
		}
		create += " " + arg
	}
	text := create + " " + name + "\n"
	if w.run != none {
		text += "    docker run -d --network " + name + strings.TrimRight(" "+w.run, " ") + " nginx\n"
	}
	return text
}

// added writes lines with the same explanation together, in the order in which
// a packet meets them.
func (p *pages) added(b *strings.Builder, lines []string, order []explanation) {
	shown := map[[2]string][]string{}
	for _, line := range lines {
		for _, x := range parse(line) {
			text := line
			if e, is := strings.CutPrefix(line, "nft "); is {
				text = "element " + e
			}
			key := [2]string{x.at, x.rule}
			shown[key] = append(shown[key], text)
		}
	}
	for _, e := range order {
		if texts := shown[[2]string{e.at, e.rule}]; texts != nil {
			slices.SortStableFunc(texts, func(a, b string) int { // IPv4 first
				return strings.Compare(strings.Replace(a, "ip6tables", "iptables6", 1), strings.Replace(b, "ip6tables", "iptables6", 1))
			})
			fmt.Fprintf(b, "\n    %s\n\n%s\n", strings.Join(texts, "\n    "), e.why)
		}
	}
}

// settings writes each kind of link's once.
func (p *pages) settings(b *strings.Builder, lines []string) {
	done := map[string]bool{}
	for _, line := range lines {
		for _, x := range parse(line) {
			if key := x.at + x.rule; !done[key] {
				done[key] = true
				fmt.Fprintf(b, "* `%s`: `%s=%s`. %s\n", x.link, x.rule, x.text, p.x.of(p.t, x.at, x.rule))
			}
		}
	}
}
