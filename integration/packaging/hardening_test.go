package packaging

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// maxExposure is what systemd-analyze may give the unit, of 10. It was 7.1 when the
// unit limited capabilities and address families alone.
const maxExposure = 3.5

// maxAPIExposure is for the second API socket, whose process needs root's files alone.
const maxAPIExposure = 1.0

// TestUnitExposure: the units leave out no restriction of those that cost nothing.
func TestUnitExposure(t *testing.T) {
	for unit, limit := range map[string]float64{"gangway.service": maxExposure, "gangway-api.service": maxAPIExposure} {
		out := run(t, nil, "systemd-analyze", "security", "--offline=true", "--no-pager", "packaging/"+unit)
		level := regexp.MustCompile(`Overall exposure level for ` + regexp.QuoteMeta(unit) + `: ([0-9.]+)`).FindStringSubmatch(out)
		if level == nil {
			t.Fatalf("systemd-analyze security says:\n%s", out)
		}
		if got, err := strconv.ParseFloat(level[1], 64); err != nil || got > limit {
			t.Errorf("exposure of %s %s, want at most %.1f: %v\n%s", unit, level[1], limit, err, out)
		}
	}
}

// TestUnitRestrictions: under the unit's restrictions, which are really there, the
// daemon does all it has to that a restriction could stop: it writes settings of the
// network, names the process that holds a port, asks the system bus, and keeps rules
// with nftables and with both variants of iptables.
func TestUnitRestrictions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIn(t, dir, nil, "build")
	s := systemd{Node: harness.StartSystemd(t), script: root(t) + "/scripts/daemon.sh"}
	s.Run(t, "mkdir", "-p", "/run/dbus")
	s.Run(t, "systemd-run", "--quiet", "--unit=bus", "dbus-daemon", "--system", "--nofork", "--nopidfile")
	s.Run(t, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward")
	s.daemonScript(t, "install", dir+"/gangway")
	s.restricted(t)
	s.sameInside(t)

	s.calls(t, 4)
	if forward := s.Run(t, "cat", "/proc/sys/net/ipv4/ip_forward"); forward != "1" {
		t.Errorf("ip_forward is %s", forward)
	}
	if rules := s.Run(t, "nft", "list", "map", "inet", "gangway", "port4"); !strings.Contains(rules, "8000") {
		t.Errorf("the published port is not in:\n%s", rules)
	}
	harness.Eventually(t, "the daemon is on the system bus", func() error {
		if _, err := s.Try("sh", "-c", `dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.ListNames | grep -o ':1\.[0-9]*' | while read -r name; do
			dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetConnectionUnixProcessID string:$name; done | grep -w "uint32 $(systemctl show --property MainPID --value gangway.service)"`); err != nil {
			return fmt.Errorf("no connection to the bus: %w", err)
		}
		return nil
	})
	s.namesHolder(t)
	for _, variant := range []string{"nft", "legacy"} {
		s.keepsRules(t, variant)
	}
}

// restricted fails the test unless the restrictions are applied, which systemd passes
// over in silence where it cannot.
func (s systemd) restricted(t *testing.T) {
	t.Helper()
	pid := s.daemonPid(t)
	status := s.Run(t, "cat", fmt.Sprintf("/proc/%d/status", pid))
	for _, want := range []string{"Seccomp:\t2", "NoNewPrivs:\t1"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in the daemon's status:\n%s", want, status)
		}
	}
	for _, path := range []string{"/proc/sys/kernel/domainname", "/sys/fs/cgroup/x", "/usr/x", "/boot/x"} {
		out, err := s.Try("nsenter", "--mount", "--target", fmt.Sprint(pid), "sh", "-c", "echo x >"+path)
		if err == nil || !strings.Contains(err.Error()+out, "Read-only") && !strings.Contains(err.Error()+out, "nonexistent") {
			t.Errorf("writing %s where the daemon is: %v %s", path, err, out)
		}
	}
}

// insideAsOutside is tried beside the daemon and outside of the unit. A module that is
// none is refused by the kernel as such, unless somebody refuses the call first.
const insideAsOutside = `echo none >/run/none.ko
busybox insmod /run/none.ko 2>&1 | sed 's/.*: //'
readlink /proc/1/exe
echo $(cat /proc/sys/net/ipv4/ip_local_port_range)`

// sameInside: what the programs that the daemon starts need gives the same inside of the
// unit as outside.
func (s systemd) sameInside(t *testing.T) {
	t.Helper()
	outside := s.Run(t, "sh", "-c", insideAsOutside)
	s.dropIn(t, "ExecStartPre=/bin/sh /run/inside.sh")
	if err := os.WriteFile(s.Path("/run/inside.sh"), []byte("{ "+insideAsOutside+"; } >/run/inside.out\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Run(t, "systemctl", "restart", "gangway.service")
	if inside := s.Run(t, "cat", "/run/inside.out"); inside != outside {
		t.Errorf("under the unit:\n%s\nwithout:\n%s", inside, outside)
	}
	t.Logf("the same inside and outside:\n%s", outside)
}

// dropIn adds a line to the service.
func (s systemd) dropIn(t *testing.T, line string) {
	t.Helper()
	const folder = "/etc/systemd/system/gangway.service.d"
	s.Run(t, "sh", "-c", `mkdir -p "$0" && printf '[Service]\n%s\n' "$1" >"$0/test.conf" && systemctl daemon-reload`, folder, line)
}

// calls makes the first n calls of a container's life.
func (s systemd) calls(t *testing.T, n int) {
	t.Helper()
	for _, c := range container[:n] {
		if err := s.call(c.verb, c.body); err != nil {
			t.Error(err)
		}
	}
}

// namesHolder: the process that holds a port is named, without what a terminal obeys.
func (s systemd) namesHolder(t *testing.T) {
	t.Helper()
	const script = `name=$(printf '/run/busybox\033[2J')
cp "$(command -v busybox)" "$name"
exec "$name" nc -l -p 8001
`
	if err := os.WriteFile(s.Path("/run/holder.sh"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Run(t, "systemd-run", "--quiet", "--unit=holder", "sh", "/run/holder.sh")
	pid := s.Run(t, "systemctl", "show", "--property", "MainPID", "--value", "holder.service")
	want := `busybox\x1b[2J (pid ` + pid + `)`
	body := strings.ReplaceAll(container[3].body, "8000", "8001")
	harness.Eventually(t, "the port is taken", func() error {
		out, err := s.Try("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6 | grep ':1F41 0*:0000 0A '")
		if err != nil {
			return fmt.Errorf("%s: %w", out, err)
		}
		return nil
	})
	if err := s.call(container[3].verb, body); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `\\`, `\`), want) {
		t.Errorf("a port that %s holds: %v", want, err)
	}
}

// keepsRules: the iptables backend works in the variant that the host uses.
func (s systemd) keepsRules(t *testing.T, variant string) {
	t.Helper()
	s.Run(t, "systemctl", "stop", "gangway.socket", "gangway.service")
	for _, v := range []string{"nft", "legacy"} {
		s.Run(t, "sh", "-c", "iptables-$0 -F; iptables-$0 -t nat -F; iptables-$0 -X; iptables-$0 -t nat -X", v)
	}
	s.Run(t, "iptables-"+variant, "-N", "DOCKER")
	s.Run(t, "iptables-"+variant, "-A", "FORWARD", "-j", "DOCKER")
	s.dropIn(t, "Environment=GANGWAY_FIREWALL=iptables")
	s.Run(t, "systemctl", "start", "gangway.socket", "gangway.service")
	s.calls(t, 4)
	rules := s.Run(t, "iptables-"+variant, "-t", "nat", "-S", "GANGWAY-DNAT")
	if !strings.Contains(rules, "10.60.0.2:80") {
		t.Errorf("%s: the published port is not in:\n%s", variant, rules)
	}
}

// TestWatchdog: a daemon that hangs is started again, and who called it has an answer.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeIn(t, dir, nil, "build")
	s := systemd{Node: harness.StartSystemd(t), script: root(t) + "/scripts/daemon.sh"}
	s.daemonScript(t, "install", dir+"/gangway")
	if asked := s.Run(t, "systemctl", "show", "--property", "WatchdogUSec", "--value", "gangway.service"); asked != "30s" {
		t.Errorf("WatchdogSec is %s", asked)
	}
	s.dropIn(t, "WatchdogSec=4s")
	s.Run(t, "systemctl", "restart", "gangway.service")
	s.calls(t, 1)
	first := s.daemonPid(t)
	s.Run(t, "kill", "-STOP", fmt.Sprint(first))
	harness.Eventually(t, "the daemon stops", func() error { // all of its threads
		if state := s.Run(t, "sed", "-n", "s/^State:.//p", fmt.Sprintf("/proc/%d/status", first)); !strings.HasPrefix(state, "T") {
			return errors.New(state)
		}
		return nil
	})
	s.answers(t, "while the daemon hangs") // the next one takes it from the socket
	if s.daemonPid(t) == first {
		t.Error("the daemon was not started again")
	}
	if status := s.Run(t, prefix+"/bin/gangway", "status"); !strings.Contains(status, "Networks:          1\n") {
		t.Errorf("status:\n%s", status)
	}
	// One that works is left alone: it has been told so by then.
	second := s.daemonPid(t)
	harness.Eventually(t, "some checks", func() error {
		if out, err := s.Try("sh", "-c", prefix+`/bin/gangway status --json | sed -n 's/.*"checks": \([0-9]*\),/\1/p' | grep -x '[3-9]\|[1-9][0-9]*'`); err != nil {
			return fmt.Errorf("%s: %w", out, err)
		}
		return nil
	})
	if s.daemonPid(t) != second {
		t.Error("a daemon that works was started again")
	}
}
