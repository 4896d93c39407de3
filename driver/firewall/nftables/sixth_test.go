package nftables

import (
	"testing"

	"golang.org/x/sys/cpu"

	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

// TestSixthByte: the trial finds a kernel that takes one address for another, and leaves
// nothing. Debian 11's 5.10 does, all later ones that tests run on do not.
func TestSixthByte(t *testing.T) {
	nstest.Do(t, func() {
		sh(t, "ip link set lo up")
		want := !testkit.KernelHas(6, 1) && cpu.X86.HasAVX2
		ignored, err := SixthByteIgnored(t.Context())
		if err != nil || ignored != want {
			t.Errorf("%t, %v, want %t", ignored, err, want)
		}
		if left := sh(t, "nft list ruleset"); left != "" {
			t.Errorf("left:\n%s", left)
		}
	})
}
