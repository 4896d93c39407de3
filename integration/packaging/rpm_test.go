package packaging

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rpmLife: rpm installs the package into an empty root and erases it, and the scripts
// call systemd as those of Red Hat's packages do.
func rpmLife(t *testing.T, p packages) {
	for _, arch := range []string{"x86_64", "aarch64"} {
		rpm := p.file(t, arch+".rpm")
		sameList(t, rpm, lines(run(t, nil, "rpm", "-qpl", rpm)), slices.Concat(installedFiles, []string{
			"/usr/share/doc/gangway", "/usr/share/doc/gangway/examples",
			"/usr/share/licenses/gangway", "/usr/share/licenses/gangway/copyright", "/usr/share/zsh/site-functions/_gangway", "/usr/share/zsh/site-functions/_gangway_docker",
		}))
		sameList(t, "configuration of "+rpm, lines(run(t, nil, "rpm", "-qpc", rpm)), conffiles)
		if said := run(t, nil, "rpm", "-qp", "--qf", "%{VERSION} %{BUILDHOST} %{LICENSE}", rpm); said != p.version+" localhost Apache-2.0" {
			t.Errorf("%s says %q", rpm, said)
		}
	}
	dir := t.TempDir()
	rpm := []string{"rpm", "--root", dir, "--dbpath", "/var/lib/rpm"}
	run(t, nil, append(rpm, "-i", "--nodeps", "--noscripts", "--ignoreos", p.file(t, "x86_64.rpm"))...)
	run(t, nil, "test", "-x", dir+"/usr/bin/gangway")
	if err := os.WriteFile(dir+"/etc/default/gangway", []byte("GANGWAY_LOG_LEVEL=debug\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, nil, append(rpm, "-e", "--noscripts", "gangway")...)
	sameList(t, "what is left", lines(run(t, nil, "sh", "-c", `cd "$0" && find . -name '*gangway*' | sed 's/^\.//'`, dir)), []string{"/etc/default/gangway.rpmsave"})
	rpmScripts(t, p)
}

// rpmScripts runs the scripts with a systemctl that says how it was called.
func rpmScripts(t *testing.T, p packages) {
	t.Helper()
	bin := t.TempDir()
	calls := filepath.Join(bin, "calls")
	for name, script := range map[string]string{
		"systemctl": `echo "$@" >>` + calls + "\ncase \"$*\" in *is-active*) exit 3; esac",
		"docker":    "echo n1",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	rpm := p.file(t, "x86_64.rpm")
	const units = "gangway.socket gangway.service"
	for _, c := range []struct{ tag, arg, call, says string }{
		{"POSTIN", "1", "--no-reload preset " + units, "systemctl enable --now " + units},
		{"PREUN", "0", "--no-reload disable --now " + units + " gangway-api.service", "without their driver: n1"},
		{"PREUN", "1", "", ""},
		{"POSTUN", "1", "", ""},
	} {
		if err := os.WriteFile(calls, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		// In a network of its own there is no other gangway.
		said := run(t, []string{"PATH=" + bin + ":" + os.Getenv("PATH")}, "sh", "-c",
			`rpm -qp --qf "%{$1}" "$0" >"$3/script" && unshare --net sh "$3/script" "$2"`, rpm, c.tag, c.arg, bin)
		called, err := os.ReadFile(calls)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(called), c.call) || c.call == "" && strings.Contains(string(called), "gangway") {
			t.Errorf("%s %s calls systemctl\n%s", c.tag, c.arg, called)
		}
		if !strings.Contains(said, c.says) {
			t.Errorf("%s %s says %q", c.tag, c.arg, said)
		}
	}
}
