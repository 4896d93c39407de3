package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDepsWaitForLock: what installs packages waits for others that do, which is
// everyone's first quarter of an hour on a machine with unattended-upgrades. apt-get is
// one that says how it was called.
func TestDepsWaitForLock(t *testing.T) {
	bin := t.TempDir()
	for _, tool := range []string{"sh", "cat", "mktemp", "rm", "id", "sed", "dirname", "go"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	calls := filepath.Join(bin, "calls")
	script := "#!/bin/sh\necho \"$@\" >>" + calls + "\n"
	if err := os.WriteFile(filepath.Join(bin, "apt-get"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, []string{"PATH=" + bin}, filepath.Join(bin, "sh"), "scripts/deps.sh", "upgrade")
	said, err := os.ReadFile(calls)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	if len(lines) != 2 || !strings.Contains(lines[1], "install") || !strings.Contains(lines[1], "docker-registry") {
		t.Errorf("apt-get is called as\n%s", said)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "-o DPkg::Lock::Timeout=600 ") {
			t.Errorf("apt-get %s: does not wait", line)
		}
	}
}
