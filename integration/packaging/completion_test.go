package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// complete is a program for bash that prints what stands for the last word of
// the line $LINE. It cuts the line as readline does, at blanks and, each a word
// of its own, at = and :.
const complete = `
shopt -s extglob
words() { local rest=$1 w; COMP_WORDS=()
	for w in $rest; do
		while [[ $w == *[=:]* ]]; do
			[ -z "${w%%[=:]*}" ] || COMP_WORDS+=("${w%%[=:]*}")
			w=${w#"${w%%[=:]*}"}; COMP_WORDS+=("${w:0:1}"); w=${w:1}
		done
		[ -z "$w" ] || COMP_WORDS+=("$w")
	done
	case $rest in *[[:space:]=:]) COMP_WORDS+=(""); esac
}
press() {
	COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
	words "$1"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
	[[ $(complete -p docker) =~ -F\ ([^ ]+) ]] && "${BASH_REMATCH[1]}" docker "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
}
press "$LINE"; press "$LINE" # the first one may load something
printf '%s\n' "${COMPREPLY[@]}"
`

// TestDockerCompletion: bash completes gangway's options behind docker network
// create, and all else as docker's own completion does: with the one that is
// installed, whichever is read first, with one of another kind, with none, and
// without the package bash-completion.
func TestDockerCompletion(t *testing.T) {
	const frame = "/usr/share/bash-completion/bash_completion"
	const docker = "/usr/share/bash-completion/completions/docker"
	for _, file := range []string{frame, docker} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%v: scripts/deps.sh test installs it", err)
		}
	}
	dir := t.TempDir()
	run(t, nil, "go", "build", "-o", dir+"/gangway", ".")
	ours := filepath.Join(root(t), "packaging/docker-completion.bash")
	const other = "__start_docker() { COMPREPLY=(from-another); }; complete -o default -F __start_docker docker"
	const create, prefix = "docker network create -d gangway:latest ", "com.docker.network."
	for name, c := range map[string]struct {
		setup string
		// own is what docker's own completion has for "docker netw".
		own string
	}{
		"with docker's, loaded when needed": {". " + frame + "; . " + ours, "network"},
		"with docker's, loaded before":      {". " + frame + "; . " + docker + "; . " + ours, "network"},
		"read twice":                        {". " + frame + "; . " + ours + "; . " + ours, "network"},
		"with one of another kind":          {other + "; . " + ours, "from-another"},
		"with none":                         {"export BASH_COMPLETION_USER_DIR=/nonexistent; . " + ours, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for line, want := range map[string]string{
				"docker netw": c.own,
				create + "-o " + prefix + "bridge.gateway_mode_ipv4=na":                     "nat nat-unprotected",
				create + "--opt " + prefix + "bridge.enable_icc=":                           "true false",
				create + "-o " + prefix + "bridge.enable":                                   prefix + "bridge.enable_ip_masquerade= " + prefix + "bridge.enable_icc=",
				create + "--opt=" + prefix + "driver.m":                                     prefix + "driver.mtu=",
				create + "-o " + prefix + "driver.mtu=":                                     "",
				create + "-o " + prefix + "nothing":                                         "",
				"docker -H x network create --driver=reg:5000/x/gangway -o " + prefix + "c": prefix + "container_iface_prefix=",
				create + "-o gangway.a":                                                     "gangway.anti_spoofing=",
				create + "-o gangway.anti_spoofing=":                                        "auto true false",
				create + "-o " + prefix + "endpoint.s":                                      "",
				create + "--ipam-driver gangway:latest --ipam-opt gang":                     "gangway.sticky= gangway.dhcp=",
				create + "--ipam-opt=gangway.sticky=":                                       "true false",
				"docker network connect --driver-opt " + prefix + "endpoint.s":              prefix + "endpoint.sysctls=",
				"docker network connect --driver-opt=" + prefix + "driver.m":                "",
				"docker run --network name=n,driver-opt=" + prefix + "endpoint.s":           prefix + "endpoint.sysctls=",
				"docker run --net name=n,alias=a,driver-opt=" + prefix + "driver":           "",
			} {
				out := strings.Fields(run(t, []string{"LINE=" + line, "PATH=" + dir + ":" + os.Getenv("PATH")},
					"bash", "--norc", "-c", c.setup+"\n"+complete))
				if got := strings.Join(out, " "); got != want {
					t.Errorf("%q completes to %q, want %q", line, got, want)
				}
			}
			line := "docker network create -d bridge -o com"
			out := run(t, []string{"LINE=" + line, "PATH=" + dir + ":" + os.Getenv("PATH")}, "bash", "--norc", "-c", c.setup+"\n"+complete)
			if strings.Contains(out, prefix) {
				t.Errorf("%q completes to %q", line, out)
			}
		})
	}
}
