package integration

import (
	"encoding/json"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// capabilityNumbers are the capabilities that an engine gives to every container
// and plugin (moby's oci/caps), and those that a plugin like this one may ask
// for (linux/capability.h).
func capabilityNumbers() (given, all map[string]int) {
	given = map[string]int{
		"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_FSETID": 4, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7,
		"CAP_SETPCAP": 8, "CAP_NET_BIND_SERVICE": 10, "CAP_NET_RAW": 13, "CAP_SYS_CHROOT": 18, "CAP_MKNOD": 27, "CAP_AUDIT_WRITE": 29, "CAP_SETFCAP": 31,
	}
	all = maps.Clone(given)
	maps.Copy(all, map[string]int{"CAP_NET_ADMIN": 12, "CAP_SYS_MODULE": 16, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_PERFMON": 38, "CAP_BPF": 39})
	return given, all
}

// testPrivileges: the managed plugin has the capabilities that SECURITY.md
// explains besides those that the engine gives to all, and the socket is for
// root only.
func testPrivileges(t *testing.T, e *harness.Engine) {
	socket := "/run/docker/plugins/gangway.sock"
	if e.Driver == string(harness.Managed) {
		socket = "/run/docker/plugins/" + e.Docker(t, "plugin", "inspect", "--format", "{{.Id}}", "gangway") + "/gangway.sock"
		pluginCapabilities(t, e)
	}
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

func pluginCapabilities(t *testing.T, e *harness.Engine) {
	t.Helper()
	text, err := os.ReadFile("../config.json")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Linux struct{ Capabilities []string }
	}
	if err = json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	security, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	given, all := capabilityNumbers()
	want := slices.Collect(maps.Keys(given))
	for _, name := range config.Linux.Capabilities {
		if _, known := all[name]; !known {
			t.Errorf("%s is a capability that this test does not know", name)
		}
		if !strings.Contains(string(security), "`"+name+"`") {
			t.Errorf("SECURITY.md does not say what %s is for", name)
		}
		want = append(want, name)
	}
	slices.Sort(want)
	status := e.Run(t, "sh", "-ec", `set -- $(pidof gangway); [ $# = 1 ]; grep '^Cap\(Eff\|Prm\|Bnd\)' /proc/$1/status`)
	for line := range strings.Lines(status) {
		kind, mask, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if got := capabilities(t, mask, all); !slices.Equal(got, want) {
			t.Errorf("%s of the plugin: %v, want %v", kind, got, want)
		}
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
