package main

import (
	"math/bits"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestKeptCapabilities: what the daemon keeps is what the systemd unit allows
// and SECURITY.md explains.
func TestKeptCapabilities(t *testing.T) {
	names := map[int]string{
		unix.CAP_NET_ADMIN: "CAP_NET_ADMIN", unix.CAP_NET_RAW: "CAP_NET_RAW", unix.CAP_NET_BIND_SERVICE: "CAP_NET_BIND_SERVICE",
		unix.CAP_SYS_MODULE: "CAP_SYS_MODULE", unix.CAP_SYS_PTRACE: "CAP_SYS_PTRACE", unix.CAP_DAC_OVERRIDE: "CAP_DAC_OVERRIDE", unix.CAP_BPF: "CAP_BPF",
	}
	security, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for n, name := range names {
		if keptCapabilities(^uint64(0))&bit(n) == 0 {
			t.Errorf("%s is not kept", name)
		}
		if !strings.Contains(string(security), "`"+name+"`") {
			t.Errorf("SECURITY.md does not say what %s is for", name)
		}
		want = append(want, name)
	}
	if n := len(names); bits.OnesCount64(keptCapabilities(^uint64(0))) != n {
		t.Errorf("kept %b, want %d capabilities", keptCapabilities(^uint64(0)), n)
	}
	unit, err := os.ReadFile("packaging/gangway.service")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(string(unit))[1])
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the unit has %v, want %v", got, want)
	}
	if kept := keptCapabilities(bit(unix.CAP_NET_ADMIN) | bit(unix.CAP_DAC_OVERRIDE) | bit(unix.CAP_CHOWN)); kept != bit(unix.CAP_NET_ADMIN) {
		t.Errorf("of three, %b is kept", kept)
	}
}
