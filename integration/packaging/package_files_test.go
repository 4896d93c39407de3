package packaging

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

// sameBytes builds once more, in another folder, with other time zone, language and
// rights, without the project's history.
func sameBytes(t *testing.T, first packages) {
	source := t.TempDir()
	run(t, nil, "sh", "-c", `git ls-files -z --cached --others --exclude-standard | xargs -0 cp -a --parents -t "$0" && mkdir -p "$0/build" build/debs && ln -s "$PWD/build/debs" "$0/build/debs"`, source)
	second := packages{dir: t.TempDir(), version: first.version}
	env := append(slices.Clone(first.source), "TZ=Asia/Tokyo", "LC_ALL=tr_TR.UTF-8", "PATH="+root(t)+"/build/bin:"+os.Getenv("PATH"))
	run(t, env, "sh", "-c", `umask 077 && sh "$0/scripts/packages.sh" "$1"`, source, second.dir)
	var sums [2]string
	for i, p := range []packages{first, second} {
		text, err := os.ReadFile(p.dir + "/SHA256SUMS")
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = string(text)
	}
	if sums[0] != sums[1] || strings.Count(sums[0], "\n") != 12 {
		t.Errorf("built again:\n%s\nbuilt first:\n%s", sums[1], sums[0])
	}
	run(t, nil, "sh", "-c", `cd "$0" && sha256sum --quiet --check SHA256SUMS`, first.dir)
}

// installedFiles are those that every package has. Those of zsh have another folder on
// Debian, and the licences on Red Hat's systems.
var installedFiles = []string{
	"/etc/bash_completion.d/gangway", "/etc/default/gangway", "/etc/fish/completions/docker.fish", "/usr/bin/gangway",
	"/usr/lib/NetworkManager/conf.d/00-gangway.conf", "/usr/lib/systemd/network/00-gangway.network",
	"/usr/lib/systemd/system/gangway.service", "/usr/lib/systemd/system/gangway.socket", "/usr/lib/systemd/system/gangway-api.service",
	"/usr/libexec/docker/cli-plugins/docker-gangway", "/usr/share/bash-completion/completions/gangway",
	"/usr/share/doc/gangway/examples/gangway-alerts.yml", "/usr/share/doc/gangway/examples/gangway-dashboard.json",
	"/usr/share/fish/vendor_completions.d/gangway.fish",
	"/usr/share/man/man7/gangway-options.7.gz", "/usr/share/man/man8/gangway.8.gz",
}

// conffiles are those that an upgrade leaves as they were changed.
var conffiles = []string{"/etc/bash_completion.d/gangway", "/etc/default/gangway", "/etc/fish/completions/docker.fish"}

// contents: each package of both architectures has all files, and they are root's.
func contents(t *testing.T, p packages) {
	for _, arch := range []string{"amd64", "arm64"} {
		deb := p.file(t, ".deb", arch)
		dir := t.TempDir()
		run(t, nil, "dpkg-deb", "-R", deb, dir)
		want := slices.Concat(installedFiles, []string{
			"/usr/share/doc/gangway/changelog.Debian.gz", "/usr/share/doc/gangway/copyright",
			"/usr/share/zsh/vendor-completions/_gangway", "/usr/share/zsh/vendor-completions/_gangway_docker",
		})
		sameList(t, deb, lines(run(t, nil, "sh", "-c", `cd "$0" && find . -path ./DEBIAN -prune -o ! -type d -print | sed 's/^\.//'`, dir)), want)
		sameList(t, "conffiles of "+deb, lines(run(t, nil, "cat", dir+"/DEBIAN/conffiles")), conffiles)
		dockerPlugin(t, dir, arch)
		if others := run(t, nil, "sh", "-c", `dpkg-deb -c "$0" | grep -Ev '^[^ ]+ (root/root|0/0) ' || true`, deb); others != "" {
			t.Errorf("not root's:\n%s", others)
		}
		change := run(t, nil, "sh", "-c", `zcat "$0/usr/share/doc/gangway/changelog.Debian.gz"`, dir)
		if !strings.HasPrefix(change, "gangway ("+p.version+") stable; urgency=medium\n") {
			t.Errorf("change log:\n%s", change)
		}

		archive := p.file(t, "linux-"+arch, ".tar.gz")
		top := "gangway-" + p.version
		sameList(t, archive, lines(run(t, nil, "sh", "-c", `tar -tzf "$0" | grep -v '/$' | sed "s|^$1||"`, archive, top)), slices.Concat(installedFiles, []string{
			"/usr/share/doc/gangway/copyright", "/usr/share/zsh/site-functions/_gangway", "/usr/share/zsh/site-functions/_gangway_docker",
		}))
		pluginTar(t, p, arch)
	}
	settings(t, p)
}

// dockerPlugin: docker's commands find the program below its other name.
func dockerPlugin(t *testing.T, dir, arch string) {
	t.Helper()
	plugin := dir + "/usr/libexec/docker/cli-plugins/docker-gangway"
	run(t, nil, "cmp", plugin, dir+"/usr/bin/gangway")
	if arch != "amd64" {
		return
	}
	if said := run(t, nil, plugin, "docker-cli-plugin-metadata"); !strings.Contains(said, `"SchemaVersion":"0.1.0"`) {
		t.Errorf("%s says %s", plugin, said)
	}
}

// pluginTar: the managed plugin is what docker plugin create takes, with the licences
// of what is in it.
func pluginTar(t *testing.T, p packages, arch string) {
	t.Helper()
	dir := t.TempDir()
	run(t, nil, "tar", "-xzf", p.file(t, "gangway-plugin", arch, ".tar.gz"), "-C", dir)
	sameList(t, "the plugin's archive", lines(run(t, nil, "ls", dir)), []string{"config.json", "rootfs"})
	for _, name := range []string{"gangway", "iptables", "libc6"} {
		if text, err := os.ReadFile(dir + "/rootfs/usr/share/doc/" + name + "/copyright"); err != nil || len(text) == 0 {
			t.Errorf("the licence of %s: %v", name, err)
		}
	}
	run(t, nil, "cmp", "config.json", dir+"/config.json")
	tools := []string{"chroot", dir + "/rootfs", "/usr/sbin/iptables-legacy", "--version"}
	if arch == "arm64" {
		tools = []string{"qemu-aarch64-static", "-L", dir + "/rootfs", dir + "/rootfs/usr/sbin/xtables-legacy-multi", "iptables", "--version"}
	}
	if out := run(t, nil, tools...); !strings.Contains(out, "legacy") {
		t.Errorf("iptables of the plugin for %s: %s", arch, out)
	}
}

// settings: the settings file changes nothing, and each line of it can be used.
func settings(t *testing.T, p packages) {
	t.Helper()
	dir := t.TempDir()
	run(t, nil, "tar", "-xzf", p.file(t, "linux-amd64", ".tar.gz"), "-C", dir, "--strip-components=1")
	text, err := os.ReadFile(dir + "/etc/default/gangway")
	if err != nil {
		t.Fatal(err)
	}
	var environ []string
	for _, line := range lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			t.Errorf("in force: %s", line)
		}
		if strings.HasPrefix(line, "#GANGWAY_") {
			environ = append(environ, line[1:])
		}
	}
	if _, err = config.LoadSettings(nil, environ); err != nil || len(environ) != len(config.SettingsTable()) {
		t.Errorf("%d settings: %v", len(environ), err)
	}
	unit, err := os.ReadFile(dir + "/usr/lib/systemd/system/gangway.service")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(unit), "/usr/local") || !strings.Contains(string(unit), "\nExecStart=/usr/bin/gangway serve\n") {
		t.Errorf("the unit:\n%s", unit)
	}
}

var overstruck = regexp.MustCompile(".\b")

// pages: both formatters of manual pages take them without a word, and nothing that
// can be set or called is missing.
func pages(t *testing.T, p packages) {
	dir := t.TempDir()
	run(t, nil, "tar", "-xzf", p.file(t, "linux-amd64", ".tar.gz"), "-C", dir, "--strip-components=1")
	for page, words := range map[string][]string{
		"man8/gangway.8":         {"gangway serve", "gangway api", "gangway events", "gangway completion", "/etc/default/gangway", "--follow"},
		"man7/gangway-options.7": {"driver_opts"},
	} {
		file := dir + "/usr/share/man/" + page
		run(t, nil, "gunzip", file+".gz")
		if said := run(t, nil, "mandoc", "-T", "lint", "-W", "warning", file); said != "" {
			t.Errorf("mandoc: %s", said)
		}
		if said := run(t, nil, "sh", "-c", `groff -man -ww -z "$0" 2>&1`, file); said != "" {
			t.Errorf("groff: %s", said)
		}
		for _, s := range config.SettingsTable() {
			if strings.HasSuffix(page, "8") {
				words = append(words, "--"+s.Flag, s.Env)
			}
		}
		for _, o := range config.NetworkOptionsTable() {
			if strings.HasSuffix(page, "7") {
				words = append(words, o.Name)
			}
		}
		// Bold is written by going back; lines are long enough for each word.
		text := overstruck.ReplaceAllString(run(t, nil, "mandoc", "-T", "utf8", "-O", "width=500", file), "")
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("%s does not name %s", page, w)
			}
		}
	}
}

// sbom: the bill of materials of each package is SPDX, with the modules of go.mod that
// are linked, and the plugin's with Debian's packages.
func sbom(t *testing.T, p packages) {
	for _, arch := range []string{"amd64", "arm64"} {
		for name, want := range map[string][]string{
			"gangway_":       {"gangway", "std", "github.com/spf13/cobra", "go.etcd.io/bbolt"},
			"gangway-plugin": {"gangway", "std", "github.com/spf13/cobra", "iptables", "libc6"},
		} {
			text, err := os.ReadFile(p.file(t, name, arch, ".spdx.json"))
			if err != nil {
				t.Fatal(err)
			}
			var doc struct {
				SPDXVersion string `json:"spdxVersion"`
				Packages    []struct{ Name, SPDXID, VersionInfo, LicenseDeclared string }
			}
			if err := json.Unmarshal(text, &doc); err != nil {
				t.Fatal(err)
			}
			var names, ids []string
			for _, found := range doc.Packages {
				names, ids = append(names, found.Name), append(ids, found.SPDXID)
				if found.VersionInfo == "" || found.LicenseDeclared == "" {
					t.Errorf("%+v", found)
				}
			}
			for _, w := range want {
				if !slices.Contains(names, w) {
					t.Errorf("%s of %s has no %s: %v", name, arch, w, names)
				}
			}
			slices.Sort(ids)
			if doc.SPDXVersion != "SPDX-2.3" || len(slices.Compact(ids)) != len(names) {
				t.Errorf("%s with the packages %v", doc.SPDXVersion, ids)
			}
		}
	}
}

func lines(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

func sameList(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s has\n%s\nwant\n%s", filepath.Base(what), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
