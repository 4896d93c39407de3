package packaging

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// TestRootfs: everything in the plugin's root file system runs there, with no
// other file of the machine.
func TestRootfs(t *testing.T) {
	dir := t.TempDir()
	makeIn(t, dir, nil, "plugin", "VERSION=7.8.9")
	rootfs := dir + "/plugin/rootfs"
	if out := run(t, nil, "chroot", rootfs, "/gangway", "version"); !strings.Contains(out, "7.8.9") {
		t.Errorf("gangway version: %s", out)
	}
	for _, variant := range []string{"", "-nft", "-legacy"} {
		for _, family := range []string{"iptables", "ip6tables"} {
			want := "nf_tables"
			if variant == "-legacy" {
				want = "legacy"
			}
			tool := family + variant
			if out := run(t, nil, "chroot", rootfs, tool, "--version"); !strings.Contains(out, want) {
				t.Errorf("%s --version: %s, want %s", tool, out, want)
			}
			extensions(t, rootfs, tool)
		}
	}
}

// extensions loads what rules use that the tool loads by name, in a network
// namespace of its own.
func extensions(t *testing.T, rootfs, tool string) {
	t.Helper()
	target := "10.0.0.1:80"
	if strings.HasPrefix(tool, "ip6") {
		target = "[fd00::1]:80"
	}
	input := `*nat
-A PREROUTING -p tcp -m tcp --dport 80 -m addrtype --dst-type LOCAL -m comment --comment "net=1" -j DNAT --to-destination ` + target + `
-A PREROUTING -p sctp -m sctp --dport 80 -j RETURN
-A PREROUTING -p udp -m multiport --dports 80,90:99 -j RETURN
-A POSTROUTING -m devgroup --dst-group 0x4757 -j MASQUERADE
COMMIT
*filter
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
COMMIT
`
	file := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(file, []byte(input), 0o600); err != nil {
		t.Fatal(err)
	}
	// The lock file is in the root file system here, as no host's is mounted.
	script := `chroot "$1" "$2-restore" --noflush --wait 5 <"$3" && chroot "$1" "$2" -t nat -S && chroot "$1" "$2" -S`
	out := run(t, []string{"XTABLES_LOCKFILE=/tmp/xtables.lock"}, "unshare", "--net", "sh", "-c", script, "sh", rootfs, tool, file)
	if !strings.Contains(out, "--dst-group 0x4757 -j MASQUERADE") || !strings.Contains(out, "--ctstate RELATED,ESTABLISHED,DNAT") {
		t.Errorf("%s: rules are not as written:\n%s", tool, out)
	}
}

// TestPluginTwice: a second make finds the folder up to date and leaves it.
func TestPluginTwice(t *testing.T) {
	dir := t.TempDir()
	makeIn(t, dir, nil, "plugin", "VERSION=1")
	before, err := os.Stat(dir + "/plugin/rootfs/gangway")
	if err != nil {
		t.Fatal(err)
	}
	for _, same := range []bool{true, false} {
		version := map[bool]string{true: "VERSION=1", false: "VERSION=2"}[same]
		makeIn(t, dir, nil, "plugin", version)
		after, err := os.Stat(dir + "/plugin/rootfs/gangway")
		if err != nil {
			t.Fatal(err)
		}
		if os.SameFile(before, after) != same {
			t.Errorf("%s: same file: %t, want %t", version, !same, same)
		}
	}
}

// pluginConfig is the part of the engine's PluginConfig that gangway uses
// (https://docs.docker.com/engine/extend/config/).
type pluginConfig struct {
	Description     string              `json:"description"`
	Documentation   string              `json:"documentation"`
	Entrypoint      []string            `json:"entrypoint"`
	WorkDir         string              `json:"workdir"`
	Interface       pluginInterface     `json:"interface"`
	Network         map[string]string   `json:"network"`
	PropagatedMount string              `json:"propagatedMount"`
	Linux           map[string][]string `json:"linux"`
	Mounts          []mount             `json:"mounts"`
	Env             []variable          `json:"env"`
}

type pluginInterface struct {
	Types  []string `json:"types"`
	Socket string   `json:"socket"`
}

type mount struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Source      string   `json:"source"`
	Destination string   `json:"destination"`
	Type        string   `json:"type"`
	Options     []string `json:"options"`
	Settable    []string `json:"settable"`
}

type variable struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Value       string   `json:"value"`
	Settable    []string `json:"settable"`
}

// TestConfig: config.json is what the engine reads, and agrees with the
// daemon's settings: each one can be set, besides the two that the engine fixes.
func TestConfig(t *testing.T) {
	c := readConfig(t)
	given, err := config.LoadSettings(nil, variables(c))
	if err != nil {
		t.Fatalf("settings of config.json: %v", err)
	}
	if given.StateDir != c.PropagatedMount {
		t.Errorf("state is in %s, but %s is what survives an upgrade", given.StateDir, c.PropagatedMount)
	}
	if want := "/run/docker/plugins/" + c.Interface.Socket; given.Socket != want {
		t.Errorf("socket %s, want %s", given.Socket, want)
	}
	for _, s := range config.SettingsTable() {
		i := slices.IndexFunc(c.Env, func(v variable) bool { return v.Name == s.Env })
		fixed := s.Flag == "state" || s.Flag == "socket"
		switch {
		case fixed && i >= 0:
			t.Errorf("%s can be changed, and must not", s.Env)
		case !fixed && (i < 0 || !slices.Equal(c.Env[i].Settable, []string{"value"})):
			t.Errorf("%s cannot be set with docker plugin set", s.Env)
		}
	}
}

// TestMounts: what is mounted is on every host, also early in a boot. A source
// that is missing leaves the plugin disabled.
func TestMounts(t *testing.T) {
	for _, m := range readConfig(t).Mounts {
		if m.Source != "/run" && !strings.HasPrefix(m.Source, "/proc/") {
			t.Errorf("mount of %s, which is not on every host", m.Source)
		}
	}
}

// readConfig reads config.json, and fails for what the engine passes over in
// silence.
func readConfig(t *testing.T) pluginConfig {
	t.Helper()
	file, err := os.Open(filepath.Join(root(t), "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	var c pluginConfig
	if err := decoder.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// variables returns the environment that the engine gives the plugin.
func variables(c pluginConfig) []string {
	var env []string
	for _, v := range c.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}
