package kernels

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// root is the folder of go.mod, seen from the tests.
const root = "../.."

// command runs a program in a folder.
func command(ctx context.Context, dir string, env []string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// makeJob makes the disk with the programs of the suites and with the files that
// they read.
func makeJob(ctx context.Context, dir string, suites []suite) (image string, err error) {
	disk := filepath.Join(dir, "job")
	var list strings.Builder
	for _, s := range suites {
		if err = os.MkdirAll(filepath.Join(disk, "src", s.folder), 0o755); err != nil {
			return "", err
		}
		err = command(ctx, root, []string{"CGO_ENABLED=0"}, "go", "test", "-c", "-o", filepath.Join(disk, "bin", s.name), "./"+s.folder)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&list, "%s %s %d -test.v -test.short -test.timeout=%s %s\n", s.name, s.folder, int(s.limit.Seconds()), s.limit, strings.Join(s.args, " "))
	}
	if err = command(ctx, root, []string{"CGO_ENABLED=0"}, "go", "build", "-o", filepath.Join(disk, "bin", "gangway"), "."); err != nil {
		return "", err
	}
	// Files are copied as git lists them, so that nothing else gets into a test.
	err = command(ctx, root, []string{"DISK=" + disk}, "sh", "-ec",
		`git ls-files -co --exclude-standard | grep '/testdata/\|fwtest/engine/' | while read -r f; do [ ! -f "$f" ] || cp --parents "$f" "$DISK/src"; done`)
	if err != nil {
		return "", err
	}
	if err = os.WriteFile(filepath.Join(disk, "suites"), []byte(list.String()), 0o600); err != nil {
		return "", err
	}
	if err = command(ctx, ".", nil, "install", "-m", "755", "guest.sh", disk); err != nil {
		return "", err
	}
	image = filepath.Join(dir, "job.img")
	if err = command(ctx, ".", nil, "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", disk, image, "500M"); err != nil {
		return "", err
	}
	return image, os.RemoveAll(disk)
}
