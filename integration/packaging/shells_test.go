package packaging

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// zshScript presses TAB behind each line, in an interactive zsh with the folder $1 among
// those of its functions, and appends to file $2 what the line is then.
const zshScript = `
zmodload zsh/zpty
folder=$1 answers=$2
shift 2
zpty z zsh -f -i
zpty -w z "PS1= PS2=; unsetopt beep; fpath=($folder \$fpath); autoload -U compinit; compinit -u -D; dump() { print -r -- \$BUFFER >>$answers; BUFFER= }; zle -N dump; bindkey '^T' dump; bindkey '^I' complete-word; print rea''dy"
zpty -r -m z x '*ready*'
for line; do
	zpty -w -n z "$line"$'\t\x14'
done
zpty -w z "print do''ne"
zpty -r -m z x '*done*'
zpty -d z
`

// TestZshCompletion: zsh completes gangway's options behind docker network create, all
// else as docker's own completion does, and the command gangway.
func TestZshCompletion(t *testing.T) {
	t.Parallel()
	env, dir := shellFolder(t)
	const docker = "/usr/share/zsh/vendor-completions/_docker"
	if _, err := os.Stat(docker); err != nil {
		t.Fatalf("%v: the engine's packages have it", err)
	}
	run(t, nil, "cp", "packaging/docker-completion.zsh", dir+"/_gangway_docker")
	const create, prefix = "docker network create -d gangway:latest ", "com.docker.network."
	var typed, want []string
	for _, c := range [][2]string{
		{create + "-o " + prefix + "bridge.enable_icc=t", "rue "},
		{create + "-o " + prefix + "bridge.enab", "le_i"},
		{create + "--opt=" + prefix + "driver.m", "tu="},
		{create + "-o " + prefix + "nothing", ""},
		{"docker network create --driver=gangway --opt " + prefix + "bridge.gateway_mode_ipv4=nat-", "unprotected "},
		{"docker network create -d bridge -o com", ""},
		{"docker netw", "ork "},
		{"gangway opti", "ons "},
	} {
		typed, want = append(typed, c[0]), append(want, c[0]+c[1])
	}
	answers := filepath.Join(dir, "answers")
	run(t, env, append([]string{"zsh", "-f", "-c", zshScript, "zsh", dir, answers}, typed...)...)
	got, err := os.ReadFile(answers)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(got), "\n"), "\n") {
		if i >= len(want) || line != want[i] {
			t.Errorf("%q completes to %q", typed[min(i, len(typed)-1)], line)
		}
	}
	if n := strings.Count(string(got), "\n"); n != len(want) {
		t.Errorf("%d lines, want %d", n, len(want))
	}
}

// TestFishCompletion is the same for fish, which lists what fits.
func TestFishCompletion(t *testing.T) {
	t.Parallel()
	env, dir := shellFolder(t)
	run(t, nil, "cp", "packaging/docker-completion.fish", dir+"/docker.fish")
	const vendor = "/usr/share/fish/vendor_completions.d"
	const create, prefix = "docker network create -d gangway:latest ", "com.docker.network."
	for line, want := range map[string]string{
		create + "-o " + prefix + "bridge.enable":                                               prefix + "bridge.enable_icc= " + prefix + "bridge.enable_ip_masquerade=",
		create + "--opt " + prefix + "bridge.enable_icc=":                                       prefix + "bridge.enable_icc=false " + prefix + "bridge.enable_icc=true",
		create + "--opt=" + prefix + "driver.m":                                                 "--opt=" + prefix + "driver.mtu=",
		create + "-o " + prefix + "nothing":                                                     "",
		"docker network create --driver=gangway -o " + prefix + "bridge.gateway_mode_ipv4=nat-": prefix + "bridge.gateway_mode_ipv4=nat-unprotected",
		"docker network create -d bridge -o com":                                                "",
		"docker netw":                                                                           "network",
		"gangway opti":                                                                          "options",
	} {
		out := run(t, env, "sh", "-c", `exec fish --no-config -c "$0" 2>/dev/null`, "set fish_complete_path "+dir+" "+vendor+"; complete -C '"+line+"'")
		var got []string
		for _, answer := range lines(out) {
			word, _, _ := strings.Cut(answer, "\t")
			got = append(got, word)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q completes to %q, want %q", line, got, want)
		}
	}
}

// shellFolder returns a folder with the completion of gangway itself, and an environment
// with gangway in the path.
func shellFolder(t *testing.T) (env []string, dir string) {
	t.Helper()
	dir = t.TempDir()
	bin := t.TempDir()
	run(t, nil, "go", "build", "-o", bin+"/gangway", ".")
	run(t, []string{"VERSION=1", "SOURCE_DATE_EPOCH=0"}, "go", "run", "./packaging/generate", "text", dir)
	return []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=dumb"}, dir
}
