package integration

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// ofPlugin are the capabilities that a managed plugin keeps, and ofDaemon what a
// plain daemon keeps beside them if it has them (linux/capability.h). SECURITY.md
// explains each.
func ofPlugin() map[string]int {
	return map[string]int{"CAP_NET_BIND_SERVICE": 10, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}
}

func ofDaemon() map[string]int {
	return map[string]int{"CAP_DAC_OVERRIDE": 1, "CAP_SYS_MODULE": 16, "CAP_SYS_PTRACE": 19, "CAP_BPF": 39}
}

// testPrivileges: gangway has the capabilities that SECURITY.md explains and no
// others, nor do the programs it starts get any, and the socket is for root only.
func testPrivileges(t *testing.T, e *harness.Engine) {
	socket, extra := "/run/docker/plugins/gangway.sock", ofDaemon()
	if e.Driver == string(harness.Managed) {
		socket = "/run/docker/plugins/" + e.Docker(t, "plugin", "inspect", "--format", "{{.Id}}", "gangway") + "/gangway.sock"
		extra = nil
	}
	heldCapabilities(t, e, extra)
	if got := e.Run(t, "stat", "-c", "%a %u:%g %F", socket); got != "600 0:0 socket" {
		t.Errorf("%s: %s", socket, got)
	}
	if got := e.Run(t, "stat", "-c", "%a %u:%g", path.Dir(socket)); !regexp.MustCompile(`^7[0-5][0-5] 0:0$`).MatchString(got) {
		t.Errorf("folder of %s: %s", socket, got)
	}
	// Not even with the engine's group, and root can.
	e.Gangway(t, "status", "--socket", socket)
	out, err := e.Try("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/opt/gangway/gangway", "status", "--socket", socket)
	if err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("another user asks: %s %v", out, err)
	}
}

// heldCapabilities compares what the process has with what it should have, and
// may have if the host lets it.
func heldCapabilities(t *testing.T, e *harness.Engine, optional map[string]int) {
	t.Helper()
	names := ofPlugin()
	want := slices.Sorted(maps.Keys(names))
	maps.Copy(names, optional)
	var status string
	// A program that it is about to start has its name for a moment.
	harness.Eventually(t, "one process named gangway", func() (err error) {
		status, err = e.Try("sh", "-ec", `set -- $(pidof gangway); [ $# = 1 ]; grep '^Cap\(Inh\|Eff\|Prm\|Bnd\|Amb\)' /proc/$1/task/*/status | sort -u -t: -k2,3`)
		return err
	})
	seen := 0
	for line := range strings.Lines(status) {
		kind, mask, _ := strings.Cut(strings.TrimSpace(line[strings.LastIndex(line, "Cap"):]), ":\t")
		got := capabilities(t, mask, names)
		if kind == "CapInh" || kind == "CapAmb" {
			if len(got) > 0 {
				t.Errorf("%s: %v, want none", kind, got)
			}
			continue
		}
		seen++
		got = slices.DeleteFunc(got, func(name string) bool { _, ok := optional[name]; return ok })
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", kind, got, want)
		}
	}
	if seen < 3 {
		t.Errorf("what the process has: %q", status)
	}
}

// capabilities names the bits of a mask, in order.
func capabilities(t *testing.T, mask string, names map[string]int) []string {
	t.Helper()
	bits, err := strconv.ParseUint(mask, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for name, n := range names {
		if bits&(1<<n) != 0 {
			out = append(out, name)
			bits &^= 1 << n
		}
	}
	if bits != 0 {
		out = append(out, "others: "+strconv.FormatUint(bits, 16))
	}
	slices.Sort(out)
	return out
}
