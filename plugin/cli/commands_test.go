package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
)

func TestMain(m *testing.M) {
	// Times are shown in the zone of whoever asks; the tests' zone is fixed.
	time.Local = time.FixedZone("", 3600)
	os.Exit(m.Run())
}

func TestStatus(t *testing.T) {
	compare(t, "status", transcript(t, host(t, busyHost()), "status", "status --json"))
}

func TestStatusProblem(t *testing.T) {
	i := busyHost()
	i.status.Causes = []cause.Cause{cause.Of(cause.CheckFailed, "bridge gw-0f1e2d3c4b5a is gone"), cause.Of(cause.CheckFailed, "iptables: permission denied")}
	i.status.Repairs, i.status.LastCheck = 0, time.Time{}
	compare(t, "problem", transcript(t, host(t, i), "status", "status --json", "health", "health --json"))
}

func TestUnguarded(t *testing.T) {
	i := busyHost()
	i.status.Protection = "none"
	i.status.Causes = []cause.Cause{cause.Of(cause.Unprotected, "nothing keeps others from flushing the rules"), cause.Of(cause.Unguarded, "no filter")}
	i.status.Unguarded = "filter what comes in by gangway-probe (tc qdisc ingress): no such file or directory"
	compare(t, "unguarded", transcript(t, host(t, i), "status", "status --json", "health", "health --json"))
}

func TestDegraded(t *testing.T) {
	i := busyHost()
	i.status.Causes = []cause.Cause{cause.Of(cause.Unprotected, "nothing keeps others from flushing the rules"), cause.Of(cause.Unclaimed, "2 links of running containers are in no stored state"), cause.Of(cause.Flapping, "the rule somebody takes away")}
	compare(t, "degraded", transcript(t, host(t, i), "status", "status --json", "health", "health --json"))
}

func TestClosed(t *testing.T) {
	i := busyHost()
	i.status.Closed = []string{"IPv4", "IPv6"}
	compare(t, "closed", transcript(t, host(t, i), "status", "status --json"))
}

func TestHealth(t *testing.T) {
	compare(t, "health", transcript(t, host(t, busyHost()), "health", "health --json"))
}

func TestNetworks(t *testing.T) {
	compare(t, "networks", transcript(t, host(t, namedHost()), "networks", "networks shop_front --no-trunc", "networks --json", "networks --format {{.Name}}:{{.Mode}}", "networks 0f1e --format json", "networks front"))
}

func TestEndpoints(t *testing.T) {
	compare(t, "endpoints", transcript(t, host(t, namedHost()), "endpoints", "endpoints --no-trunc", "endpoints --json", "endpoints shop-db-1",
		"endpoints 1111 --network shop_front", "endpoints --network hvs2 --json", "endpoints shop-dv-1", "endpoints web --json"))
}

// TestRate: what holds is shown, and what is asked for is what the daemon is told; what is no
// rate, or no one container's, does not get there.
func TestRate(t *testing.T) {
	i := namedHost()
	dir := host(t, i)
	compare(t, "rate", transcript(t, dir, "rate", "rate shop-web-1 --no-trunc", "rate shop-db-1 --in 50mbit --format {{.In}}/{{.Out}}", "rate shop-db-1 --in default --out none",
		"rate --in 1mbit", "rate shop-db-1 --in fast", "rate shop-dv-1 --out 1mbit"))
	if got, want := strings.Join(i.rates, "; "), `0f1e bbbb in "50mbit", out as it is; 0f1e bbbb in "", out "none"`; got != want {
		t.Errorf("the daemon was asked for %s, want %s", got, want)
	}
	i.err = errors.New("the kernel has no tbf")
	if r := gangway(t, dir, "rate", "shop-db-1", "--in", "1mbit"); r.code != 1 {
		t.Errorf("a daemon that cannot: %+v", r)
	}
}

func TestPorts(t *testing.T) {
	compare(t, "ports", transcript(t, host(t, namedHost()), "ports", "ports --no-trunc", "ports --json", "ports shop-web-1", "ports aaaa --network 0f1e2d", "ports 8000", "ports 8000/tcp --json",
		"ports 10005/udp --format table\\t{{.Port}}\\t{{.Container}}", "ports shop-db-1", "ports 8000/udp", "ports 8001", "ports shop-web-2", "ports --network shop-front"))
}

func TestAddresses(t *testing.T) {
	compare(t, "addresses", transcript(t, host(t, namedHost()), "addresses", "addresses --no-trunc", "addresses shop_front", "addresses hvs2 --json", "addresses shop_frnt",
		"addresses --format {{.Address}}={{.State}}"))
}

func TestDrops(t *testing.T) {
	compare(t, "decisions", transcript(t, host(t, namedHost()), "decisions", "decisions --no-trunc", "decisions shop-web-1", "decisions --network hvs2 --json", "decisions --format {{.Option}}={{.Value}}:{{.Bytes}}"))
	compare(t, "drops", transcript(t, host(t, namedHost()), "drops", "drops --no-trunc", "drops shop-web-1", "drops --network shop_front", "drops shop-web-1 --network hvs2", "drops shop-db-1 --json",
		"drops --format {{.Container}}:{{.Packets}}", "drops shop-wob-1", "drops --network hvs2 --json"))
}

// TestNoNames: without an engine's API ids stand for names, and a name says why it is
// not known.
func TestNoNames(t *testing.T) {
	compare(t, "no-names", transcript(t, host(t, busyHost()), "networks", "endpoints", "ports", "ports aaaa1111bbbb", "ports shop-web-1", "endpoints --network shop_front", "events"))
}

func TestEvents(t *testing.T) {
	compare(t, "events", transcript(t, host(t, namedHost()), "events", "events --json"))
}

// TestFollowEvents: an interrupt ends it in order, after what there was.
func TestFollowEvents(t *testing.T) {
	path := filepath.Join(host(t, busyHost()), socketName)
	for flags, want := range map[string]string{
		"--follow":        "2001-02-03T05:05:06+01:00  repair    bridge gw-0f1e2d3c4b5a: was down: set up\n2001-02-03T05:05:07+01:00  flapping  somebody undoes the same repair again and again\n2001-02-03T05:05:08+01:00  dropped   3 packets dropped: 3 spoofed (network 0f1e2d3c4b5a, endpoint aaaa1111bbbb)\n",
		"--follow --json": `{"number":1,"time":"2001-02-03T04:05:06Z","kind":"repair","text":"bridge gw-0f1e2d3c4b5a: was down: set up"}` + "\n" + `{"number":2,"time":"2001-02-03T04:05:07Z","kind":"flapping","text":"somebody undoes the same repair again and again"}` + "\n" + `{"number":3,"time":"2001-02-03T04:05:08Z","kind":"dropped","text":"3 packets dropped: 3 spoofed (network 0f1e2d3c4b5a, endpoint aaaa1111bbbb)"}` + "\n",
	} {
		ctx, interrupt := context.WithCancel(t.Context())
		out := &until{want: len(want), then: interrupt}
		root := New(Options{})
		root.SetArgs(append([]string{"events", "--socket", path}, strings.Fields(flags)...))
		root.SetOut(out)
		if code := Execute(ctx, root, io.Discard); code != 0 || out.String() != want {
			t.Errorf("%s: exit code %d, %q", flags, code, out.String())
		}
		interrupt()
	}
}

// until calls then once it has taken as many bytes as it wants.
type until struct {
	bytes.Buffer
	want int
	then func()
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.Buffer.Write(p)
	if u.Len() >= u.want {
		u.then()
	}
	return n, err
}

func TestVersion(t *testing.T) {
	compare(t, "version", transcript(t, host(t, busyHost()), "version", "version --json"))
}

func TestEmptyHost(t *testing.T) {
	compare(t, "empty", transcript(t, host(t, &inspector{status: driver.Status{Firewall: "iptables"}}),
		"networks", "networks --json", "endpoints", "endpoints --json", "ports", "ports --json", "status"))
}

// TestRestoring asks a daemon that does not get ready.
func TestRestoring(t *testing.T) {
	dir := t.TempDir()
	serveFor(t, filepath.Join(dir, socketName), busyHost(), 20*time.Millisecond)
	compare(t, "restoring", transcript(t, dir, "status", "health", "health --json", "endpoints", "ports --json", "version"))
}

func TestDaemonError(t *testing.T) {
	i := busyHost()
	i.err = errors.New("list links: no memory")
	r := gangway(t, host(t, i), "endpoints", "--json")
	if r != (result{code: 1, stderr: "gangway endpoints: list links: no memory\n"}) {
		t.Errorf("got %+v", r)
	}
}

// TestJSONIsTheDaemons: what the daemon answers is passed on, fields of a later
// version as well.
func TestJSONIsTheDaemons(t *testing.T) {
	path := filepath.Join(host(t, busyHost()), socketName)
	for _, name := range []string{"networks", "endpoints", "ports", "addresses", "drops", "health"} {
		resp, err := newDaemon(path).client.Get("http://gangway/gangway/v1/" + name)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		want, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		r := gangway(t, "", name, "--json", "--socket", path)
		var got bytes.Buffer
		if err := json.Compact(&got, []byte(r.stdout)); err != nil {
			t.Fatalf("%s: %v in %s", name, err, r.stdout)
		}
		if got.String() != strings.TrimSpace(string(want)) {
			t.Errorf("%s: got %s, want %s", name, got.String(), want)
		}
	}
	dir := t.TempDir()
	foreign(t, dir, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `[{"id":"n1","later":{"a":1}}]`)
	})
	if r := gangway(t, dir, "networks", "--json"); r.code != 0 || !strings.Contains(r.stdout, `"later": {`) {
		t.Errorf("a field of a later version: %+v", r)
	}
}

// TestHelp holds what a newcomer reads first.
func TestHelp(t *testing.T) {
	dir := t.TempDir()
	compare(t, "help", transcript(t, dir, "help", "help status", "help endpoints", "help ports", "help events", "help options", "help graph", "help ui", "help serve"))
	if a, b := gangway(t, dir), gangway(t, dir, "help"); a != b {
		t.Errorf("gangway alone: %+v", a)
	}
}

func TestUsageErrors(t *testing.T) {
	compare(t, "usage", transcript(t, t.TempDir(), "statsu", "status now", "status --jsn", "ports --timeout 0s", "ports --timeout x", "status --no-trunc", "serve --state",
		"networks a b", "status --network a", "ports 70000/tcp", "ports --json --format json", "options --format json", "graph front", "graph --format png", "graph --format mermiad", "ui now", "ui --listen 9324", "ui --listen off"))
}

// TestOptions: the list has every row of the table in each form, and those of one place
// alone; it asks nobody.
func TestOptions(t *testing.T) {
	for flag, place := range map[string]config.Where{"--network": config.ForNetwork, "--container": config.ForContainer, "--ipam": config.ForPool, "": config.ForAny} {
		t.Run(flag, func(t *testing.T) { listed(t, flag, place) })
	}
	if r := gangway(t, t.TempDir(), "options", "--network", "--container"); r.code == 0 {
		t.Errorf("both kinds alone: %+v", r)
	}
}

func listed(t *testing.T, flag string, place config.Where) {
	dir := t.TempDir()
	table := slices.DeleteFunc(config.OptionsTable(), func(o config.Option) bool { return o.Where&place == 0 })
	list := func(args ...string) string {
		if flag != "" {
			args = append(args, flag)
		}
		return gangway(t, dir, append([]string{"options"}, args...)...).stdout
	}
	text, words, encoded := list(), list("--words"), list("--json")
	var decoded []struct {
		Name, Values, Default, Help, Since string
		For                                []string
		Engine                             bool
	}
	if err := json.Unmarshal([]byte(encoded), &decoded); err != nil || len(decoded) != len(table) || len(table) == 0 {
		t.Fatalf("%d in JSON (%v), %d in the table", len(decoded), err, len(table))
	}
	if n := strings.Count(words, "\n"); n != len(table) {
		t.Errorf("%d lines for %d rows:\n%s", n, len(table), words)
	}
	for i, row := range table {
		d := decoded[i]
		if d.Name != row.Name || d.Default != row.Default || d.Since != row.Since || d.Engine != row.Engine || strings.Join(d.For, ", ") != row.Where.String() {
			t.Errorf("row %d is %+v, want %s", i, d, row.Name)
		}
		if !strings.Contains(text, row.Name+"\n    ") || !strings.Contains(text, "\n    for: "+row.Where.String()+"\n") {
			t.Errorf("%s is missing in:\n%s", row.Name, text)
		}
		if line := strings.Join(append([]string{row.Name}, row.Choices...), " ") + "\n"; !strings.Contains(words, line) {
			t.Errorf("no line %q in:\n%s", line, words)
		}
	}
}

func TestServe(t *testing.T) {
	if r := gangway(t, t.TempDir(), "serve", "--state", "/srv/x"); r != (result{code: 1, stderr: "gangway serve: served /srv/x\n"}) {
		t.Errorf("got %+v", r)
	}
}

func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if r := gangway(t, dir, "completion", shell); r.code != 0 || !strings.Contains(r.stdout, "__complete") {
			t.Errorf("%s: exit code %d, %d bytes", shell, r.code, len(r.stdout))
		}
	}
	for _, tc := range []struct{ line, want string }{
		{"po", "policy"}, {"por", "ports"}, {"en", "endpoints"}, {"ev", "events"}, {"events --f", "--follow"}, {"st", "status"}, {"status --js", "--json"}, {"ports --no", "--no-trunc"}, {"serve --st", "--state"},
	} {
		r := gangway(t, dir, append([]string{"__complete"}, strings.Fields(tc.line)...)...)
		if r.code != 0 || !strings.HasPrefix(r.stdout, tc.want+"\t") {
			t.Errorf("%q completes to %q, want %s", tc.line, r.stdout, tc.want)
		}
	}
	// No command takes a file, so none is offered (directive 4).
	if r := gangway(t, dir, "__complete", "status", ""); !strings.HasPrefix(r.stdout, ":4\n") {
		t.Errorf("arguments offered: %q", r.stdout)
	}
}

// TestDoctor: what it means is settled before anything is looked at.
