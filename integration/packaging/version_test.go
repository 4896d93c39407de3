package packaging

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestVersionOrder: versions by tag and date are ordered by Debian and by RPM as they
// were made.
func TestVersionOrder(t *testing.T) {
	dir := t.TempDir()
	script, err := os.ReadFile(root(t) + "/scripts/version.sh")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/scripts", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/scripts/version.sh", script, 0o600); err != nil {
		t.Fatal(err)
	}
	git := func(env []string, args ...string) {
		t.Helper()
		run(t, env, append([]string{"git", "-C", dir, "-c", "user.name=t", "-c", "user.email=t@localhost"}, args...)...)
	}
	git(nil, "init", "-q")
	git(nil, "add", "scripts")
	version := func() string {
		t.Helper()
		return strings.TrimSpace(run(t, nil, "sh", dir+"/scripts/version.sh"))
	}
	var made []string
	when := time.Date(2026, 11, 28, 0, 0, 5, 0, time.FixedZone("", 7200))
	for i, tags := range []string{"", "", "", "", "v0.9.0-rc.1", "", "v0.9.0-rc.2 v0.9.0", "", "v0.9.1", "v0.10.0-alpha.1", "v0.10.0-beta.1", "v0.10.0", "v1.0.0"} {
		// Numbers with and without zeros in front.
		when = when.Add(2*time.Hour + 7*time.Minute + 9*time.Second)
		date := when.Format(time.RFC3339)
		git([]string{"GIT_COMMITTER_DATE=" + date, "GIT_AUTHOR_DATE=" + date}, "commit", "-q", "--allow-empty", "-m", "c")
		for _, tag := range strings.Fields(tags) {
			git(nil, "tag", tag)
		}
		made = append(made, version())
		if tags != "" && strings.Contains(made[i], "+") {
			t.Errorf("the version of %s is %s", tags, made[i])
		}
	}
	if err := os.WriteFile(dir+"/scripts/version.sh", append(script, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	made = append(made, version())
	t.Log(made)
	for i := range made[1:] {
		a, b := made[i], made[i+1]
		if out, err := try(t, nil, "dpkg", "--compare-versions", a, "lt", b); err != nil {
			t.Errorf("Debian: %s is not less than %s: %v %s", a, b, err, out)
		}
		if out := run(t, nil, "rpm", "--eval", "%{lua: print(rpm.vercmp('"+a+"', '"+b+"'))}"); strings.TrimSpace(out) != "-1" {
			t.Errorf("RPM: %s is not less than %s: %s", a, b, out)
		}
	}
	git(nil, "checkout", "-q", "scripts")
	git(nil, "commit", "-q", "--allow-empty", "-m", "c")
	git(nil, "tag", "v1.1")
	if out, err := try(t, nil, "sh", dir+"/scripts/version.sh"); err == nil {
		t.Errorf("a tag of two numbers makes the version %s", out)
	}
}
