package kernels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// bootLimit is how long a machine may take beside its suites.
const bootLimit = 30 * time.Minute

// cacheDir is the folder of the engines' trees, and of the kernels.
func cacheDir() string {
	if dir := os.Getenv("GANGWAY_CACHE"); dir != "" {
		return dir
	}
	return "/var/cache/gangway"
}

// machine is one boot of a kernel.
type machine struct {
	kernel kernel
	// dir holds the disks of this boot, and the results.
	dir string
	// release is the version of the kernel, as it says itself.
	release string
}

// prepare fetches and makes what the kernels are booted from.
func prepare(ctx context.Context, kernels []kernel) error {
	args := []string{"machine.sh"}
	for _, k := range kernels {
		args = append(args, k.suite)
	}
	if out, err := exec.CommandContext(ctx, "sh", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("prepare the kernels: %w\n%s", err, out)
	}
	return nil
}

// run boots the machine with a job, waits until it turns itself off, and unpacks
// its results.
func (m *machine) run(ctx context.Context, job string, suites []suite, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit+bootLimit)
	defer cancel()
	results := filepath.Join(m.dir, "results.img")
	if err := os.WriteFile(results, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(results, 64<<20); err != nil {
		return err
	}
	base := filepath.Join(cacheDir(), "kernels")
	kernelDir := filepath.Join(base, m.kernel.suite)
	drive := func(path, how string) string { return "file=" + path + ",format=raw,if=virtio" + how }
	console := filepath.Join(m.dir, "console")
	options := "console=ttyS0 panic=-1 quiet loglevel=4 tsc=reliable no_timer_check mitigations=off rcupdate.rcu_expedited=1"
	if len(m.kernel.without) > 0 {
		options += " " + testkit.BarredModules + strings.Join(m.kernel.without, ",")
	}
	for _, s := range suites {
		options += " suite=" + s.name
	}
	cmd := exec.CommandContext(ctx, "nice", "-n", "10", "qemu-system-x86_64",
		"-accel", "tcg,thread=multi", "-cpu", cmp.Or(m.kernel.cpu, "max"), "-smp", "2", "-m", "2048",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", filepath.Join(kernelDir, "vmlinuz"), "-initrd", filepath.Join(kernelDir, "initramfs"),
		"-append", options, "-serial", "file:"+console,
		"-drive", drive(filepath.Join(base, "guest.img"), ",snapshot=on"),
		"-drive", drive(filepath.Join(kernelDir, "modules.img"), ",readonly=on"),
		"-drive", drive(job, ",readonly=on"),
		"-drive", drive(results, ""))
	out, err := cmd.CombinedOutput()
	if err != nil {
		said, _ := os.ReadFile(console)
		return fmt.Errorf("boot %s: %w\n%s\n%s", m.kernel.name, err, out, said)
	}
	if out, err = exec.CommandContext(ctx, "tar", "-C", m.dir, "-xf", results).CombinedOutput(); err != nil {
		said, _ := os.ReadFile(console)
		return fmt.Errorf("results of %s: %w\n%s\n%s", m.kernel.name, err, out, said)
	}
	text, err := os.ReadFile(filepath.Join(m.dir, "release"))
	m.release = strings.TrimSpace(string(text))
	return errors.Join(err, os.Remove(results))
}

// result is how one suite ended.
type result struct {
	status  string
	seconds string
	log     string
}

// result reads what the guest kept of a suite.
func (m *machine) result(suite string) (r result, err error) {
	status, err := os.ReadFile(filepath.Join(m.dir, suite+".status"))
	if err != nil {
		return r, fmt.Errorf("suite %s did not end: %w", suite, err)
	}
	text, err := os.ReadFile(filepath.Join(m.dir, suite+".log"))
	if err != nil {
		return r, err
	}
	r.status, r.seconds, _ = strings.Cut(strings.TrimSpace(string(status)), " ")
	r.log = string(text)
	return r, nil
}
