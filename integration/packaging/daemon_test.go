package packaging

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDaemonInstall: make install-daemon makes units that systemd takes, with
// the program where it was asked for; make uninstall removes all.
func TestDaemonInstall(t *testing.T) {
	dir, dest := t.TempDir(), t.TempDir()
	where := []string{"DESTDIR=" + dest, "PREFIX=/opt/net"}
	makeIn(t, dir, nil, append(where, "install-daemon")...)
	unit := dest + "/etc/systemd/system/gangway.service"
	text, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile(`(?m)^ExecStart=(\S+) serve$`).FindStringSubmatch(string(text))
	if program == nil || program[1] != "/opt/net/bin/gangway" {
		t.Fatalf("the unit starts %q", program)
	}
	run(t, nil, dest+program[1], "version")
	plugin := dest + "/usr/local/lib/docker/cli-plugins/docker-gangway"
	leads(t, plugin, program[1])
	completions := []string{dest + "/opt/net/share/bash-completion/completions/gangway", dest + "/etc/bash_completion.d/gangway"}
	for _, file := range completions {
		run(t, nil, "bash", "-n", file)
	}
	others := []string{
		dest + "/opt/net/share/zsh/site-functions/_gangway", dest + "/opt/net/share/zsh/site-functions/_gangway_docker",
		dest + "/opt/net/share/fish/vendor_completions.d/gangway.fish", dest + "/etc/fish/completions/docker.fish",
	}
	for _, file := range others {
		shell := "zsh"
		if strings.HasSuffix(file, ".fish") {
			shell = "fish"
		}
		run(t, nil, shell, "-n", file)
	}
	managers := []string{dest + "/etc/systemd/network/00-gangway.network", dest + "/etc/NetworkManager/conf.d/00-gangway.conf"}
	for _, file := range managers {
		if content, err := os.ReadFile(file); err != nil || !strings.Contains(string(content), "gw-*") {
			t.Errorf("%s: %v: %s", file, err, content)
		}
	}

	// systemd looks for the program in the machine's own root.
	here := strings.ReplaceAll(string(text), program[1], dest+program[1])
	if err := os.WriteFile(dir+"/gangway.service", []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, api := dest+"/etc/systemd/system/gangway.socket", dest+"/etc/systemd/system/gangway-api.service"
	run(t, nil, "sh", "-c", `sed "s|$1|$2|" "$0" >"$3"`, api, program[1], dest+program[1], dir+"/gangway-api.service")
	if out := run(t, nil, "systemd-analyze", "verify", "--man=no", dir+"/gangway.service", dir+"/gangway-api.service", socket); out != "" {
		t.Errorf("systemd-analyze verify: %s", out)
	}

	run(t, append(where, "DOCKER=/nonexistent/docker"), "make", "-e", "uninstall")
	for _, file := range append(slices.Concat(completions, others, managers), unit, socket, api, dest+program[1], plugin) {
		if _, err := os.Lstat(file); err == nil {
			t.Errorf("%s is left", file)
		}
	}
}

// leads fails the test unless a link leads to a file.
func leads(t *testing.T, link, want string) {
	t.Helper()
	if to, err := os.Readlink(link); err != nil || to != want {
		t.Errorf("%s leads to %q, want %s: %v", link, to, want, err)
	}
}
