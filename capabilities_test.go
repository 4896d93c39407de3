package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	libcap "kernel.org/pub/linux/libs/security/libcap/cap"
)

// TestKeptCapabilities: what the daemon keeps is what the systemd unit allows
// and SECURITY.md explains.
func TestKeptCapabilities(t *testing.T) {
	security, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, c := range keptCapabilities(func(libcap.Value) bool { return true }) {
		name := strings.ToUpper(c.String())
		if !strings.Contains(string(security), "`"+name+"`") {
			t.Errorf("SECURITY.md does not say what %s is for", name)
		}
		kept = append(kept, name)
	}
	unit, err := os.ReadFile("packaging/gangway.service")
	if err != nil {
		t.Fatal(err)
	}
	allowed := strings.Fields(regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindStringSubmatch(string(unit))[1])
	slices.Sort(allowed)
	slices.Sort(kept)
	if !slices.Equal(allowed, kept) {
		t.Errorf("the unit has %v, the daemon keeps %v", allowed, kept)
	}
	some := []libcap.Value{libcap.NET_ADMIN, libcap.DAC_OVERRIDE, libcap.CHOWN}
	if kept := keptCapabilities(func(c libcap.Value) bool { return slices.Contains(some, c) }); !slices.Equal(kept, some[:1]) {
		t.Errorf("of %v, %v is kept", some, kept)
	}
}
