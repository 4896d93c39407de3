package link_test

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/integration/nstest"
)

func TestMain(m *testing.M) {
	if job := os.Getenv(moveEnv); job != "" {
		os.Exit(doomedMove(job))
	}
	nstest.Main(m)
}

const (
	netID   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	otherID = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
	epID    = "e0e1e2e3e4e5e6e7e8e9eaebecedeeefe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
)

// fixture is a Handle in a network namespace of its own. Its methods do not
// stop the test, since they run outside of the test's goroutine.
type fixture struct {
	*link.Handle
	t testing.TB
}

// inside runs f in a new network namespace, and checks that closing the handle
// leaves no socket behind.
func inside(t *testing.T, f func(fixture)) {
	t.Helper()
	nstest.Do(t, func() {
		h, err := link.New(link.Options{})
		if err != nil {
			t.Error(err)
			return
		}
		defer h.Close()
		f(fixture{h, t})
	})
}

// sh runs a command line, split at blanks, and returns what it prints.
func (f fixture) sh(line string) string {
	f.t.Helper()
	args := strings.Fields(line)
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		f.t.Errorf("%s: %v: %s", line, err, out)
	}
	return string(out)
}

// rename gives a link that is up another name: before Linux 6.2 it has to be down
// for that.
func (f fixture) rename(name, to string) {
	f.t.Helper()
	f.sh("ip link set " + name + " down")
	f.sh("ip link set " + name + " name " + to)
	f.sh("ip link set " + to + " up")
}

// another runs f with a Handle that has made nothing yet.
func (f fixture) another(do func(fixture)) {
	f.t.Helper()
	h, err := link.New(link.Options{})
	if err != nil {
		f.t.Error(err)
		return
	}
	defer h.Close()
	do(fixture{h, f.t})
}

var volatile = regexp.MustCompile(`(?m)^\d+: | state \S+| mode \S+| qdisc \S+| link-netns(id)? \S+|^.*\b(fe80|ff00):.*\n|^(local|anycast) \S*:\S* .*\n|^ +valid_lft .*\n|^ +link/.*\n| expires \d+sec|@\S+:|NO-CARRIER,|,LOWER_UP|,M-DOWN| linkdown`)

// dump shows links, addresses and routes of the namespace without what differs
// from run to run: link-local IPv6 comes once a link has carrier, and the local
// routes of other IPv6 addresses a moment after the address.
func (f fixture) dump() string {
	f.t.Helper()
	return volatile.ReplaceAllString(f.sh("ip link show")+f.sh("ip addr show")+f.sh("ip route show table all"), "")
}

func (f fixture) sysctl(name string) string {
	f.t.Helper()
	value, err := os.ReadFile(filepath.Join("/proc/sys", name))
	if err != nil {
		f.t.Error(err)
	}
	return strings.TrimSpace(string(value))
}

func (f fixture) set(name, value string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
		f.t.Error(err)
	}
}

// sysctls reads several settings in the order given.
func (f fixture) sysctls(names ...string) (all []string) {
	f.t.Helper()
	for _, n := range names {
		all = append(all, n[strings.LastIndexByte(n, '/')+1:]+"="+f.sysctl(n))
	}
	return all
}

// ensure wants exactly these lines to be mended, and none the second time.
func (f fixture) ensure(b spec.Bridge, want ...string) {
	f.t.Helper()
	f.lines("EnsureBridge", func() ([]string, error) { return f.EnsureBridge(context.Background(), b) }, want)
}

func (f fixture) ensureVeth(v spec.Veth, want ...string) {
	f.t.Helper()
	f.lines("EnsureVeth", func() ([]string, error) { return f.EnsureVeth(context.Background(), v) }, want)
}

func (f fixture) lines(what string, do func() ([]string, error), want []string) {
	f.t.Helper()
	for _, want := range [][]string{want, nil} {
		got, err := do()
		if err != nil {
			f.t.Errorf("%s: %v", what, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			f.t.Errorf("%s mended (-want +got):\n%s", what, d)
		}
	}
}

// refuses wants an error with each of the words, and nothing changed.
func (f fixture) refuses(what string, do func() error, words ...string) {
	f.t.Helper()
	before := f.dump()
	err := do()
	if err == nil {
		f.t.Errorf("%s: no error, want one with %q", what, words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			f.t.Errorf("%s: error %q does not say %q", what, err, w)
		}
	}
	f.unchanged(what, before)
}

func (f fixture) same(want, got any) {
	f.t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		f.t.Errorf("(-want +got):\n%s", d)
	}
}

func (f fixture) unchanged(what, before string) {
	f.t.Helper()
	if d := cmp.Diff(before, f.dump()); d != "" {
		f.t.Errorf("%s changed (-before +after):\n%s", what, d)
	}
}

func (f fixture) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Error(err)
	}
}

// contains wants each of the words in the text.
func (f fixture) contains(text string, words ...string) {
	f.t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			f.t.Errorf("%q is not in:\n%s", w, text)
		}
	}
}

func prefixes(list ...string) (all []netip.Prefix) {
	for _, p := range list {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

func dualStack() spec.Bridge {
	return spec.Bridge{
		Name:      "gw-0123456789ab",
		NetworkID: netID,
		MTU:       1400,
		Addresses: prefixes("10.7.0.1/24", "fd07::1/64"),
		IPv6:      true,
		Localnet:  true,
	}
}

func pair(bridge string) spec.Veth {
	return spec.Veth{
		EndpointID: epID,
		Host:       "gv-e0e1e2e3e4e5",
		Peer:       "gp-e0e1e2e3e4e5",
		Bridge:     bridge,
		MAC:        net.HardwareAddr{2, 0x42, 10, 7, 0, 2},
		MTU:        1400,
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
