package harness

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// Fresh is a machine of a Debian suite as it is right after the installation, with git,
// make and this machine's Go. It has this machine's caches of Go.
type Fresh struct{ *Node }

// NewFresh starts one. It ends with the test.
func NewFresh(t testing.TB, suite Suite) Fresh {
	t.Helper()
	if os.Geteuid() != 0 {
		testkit.Missing(t, "a machine of its own needs root")
	}
	tree := (suite + "+fresh").tree(t, false)
	dir, err := current.folder("")
	if err != nil {
		t.Fatal(err)
	}
	binds := []bind{{Source: goEnv(t, "GOROOT"), Target: "/usr/local/go", ReadOnly: true}}
	for variable, target := range map[string]string{"GOMODCACHE": "/root/go/pkg/mod", "GOCACHE": "/root/.cache/go-build"} {
		binds = append(binds, bind{Source: goEnv(t, variable), Target: target})
	}
	n := startNode(t, nodeConfig{
		Hostname: "fresh", Cgroup: cgroupPrefix + current.name + filepath.Base(dir), Tree: tree, Dir: dir, Binds: binds,
	})
	// It reaches what this machine reaches, and trusts whom this machine trusts: there may
	// be a proxy with a certificate of its own in between.
	for _, file := range []string{"/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt"} {
		text, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(n.Path(file), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return Fresh{n}
}

func goEnv(t testing.TB, variable string) string {
	t.Helper()
	out, err := exec.Command("go", "env", variable).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// Make runs make in a folder, which may take so long, and returns what it says.
func (f Fresh) Make(t testing.TB, limit time.Duration, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return f.finish(t, f.Command(ctx, append([]string{"make", "-C", dir}, args...)...))
}

// Online runs a shell script in a folder, with this machine's network: whoever installs
// something needs it.
func (f Fresh) Online(t testing.TB, limit time.Duration, dir, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	enter := []string{"--target", strconv.Itoa(f.pid), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--", "sh", "-ec", `cd "$0"; ` + script, dir}
	cmd := exec.CommandContext(ctx, "nsenter", enter...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	return f.finish(t, cmd)
}

// finish runs a command with what it needs to find Go, and what Go needs to find modules.
func (f Fresh) finish(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	cmd.Env = []string{"PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "GOTOOLCHAIN=local"}
	for _, variable := range []string{"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "http_proxy", "https_proxy", "no_proxy"} {
		if value, is := os.LookupEnv(variable); is {
			cmd.Env = append(cmd.Env, variable+"="+value)
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}
