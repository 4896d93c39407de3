package iptables

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/gangway-net/gangway/driver/firewall"
)

// The line that failed is shown, not only its number.
func TestExplain(t *testing.T) {
	script := "*nat\n:GANGWAY-DNAT - [0:0]\n-A GANGWAY-DNAT -p tcp -j NONE\nCOMMIT\n" +
		"*filter\n-A GANGWAY -p tcp -m tcp -m devgroup --src-group 0x1 -m comment --comment x -j MARK --set-xmark 1\nCOMMIT\n"
	for complaint, want := range map[string]string{
		"iptables-restore: line 3 failed\n":                                 "iptables-restore: line 3 failed (-A GANGWAY-DNAT -p tcp -j NONE)",
		"iptables-restore v1.8.9: x\nError occurred at line: 2\nTry help\n": "iptables-restore v1.8.9: x Error occurred at line: 2 Try help (:GANGWAY-DNAT - [0:0])",
		"line 99 failed": "line 99 failed",
		"line 6: RULE_APPEND failed (No such file or directory): rule in chain GANGWAY": "line 6: RULE_APPEND failed (No such file or directory): rule in chain GANGWAY " +
			"(-A GANGWAY -p tcp -m tcp -m devgroup --src-group 0x1 -m comment --comment x -j MARK --set-xmark 1): " +
			"the kernel may lack one of the modules xt_MARK, xt_comment, xt_devgroup",
		"line 6: RULE_APPEND failed (Device or resource busy)": "line 6: RULE_APPEND failed (Device or resource busy) " +
			"(-A GANGWAY -p tcp -m tcp -m devgroup --src-group 0x1 -m comment --comment x -j MARK --set-xmark 1)",
		"iptables-restore: line 7 failed": "iptables-restore: line 7 failed (COMMIT): the kernel may lack one of the modules xt_MARK, xt_comment, xt_devgroup",
		"Could not fetch rule set generation id: Permission denied (you must be root)": "Could not fetch rule set generation id: " +
			"Permission denied (you must be root): gangway needs root or CAP_NET_ADMIN",
	} {
		if got := explain(complaint, script); got != want {
			t.Errorf("explain(%q) = %q, want %q", complaint, got, want)
		}
	}
}

// TestKernelWithoutNFTables: Debian's package brings the commands of both variants, and
// those of nf_tables fail on a kernel without it: they are left out.
func TestKernelWithoutNFTables(t *testing.T) {
	bin := t.TempDir()
	for _, v := range []variant{nft, legacy} {
		script := "#!/bin/sh\n"
		if v == nft {
			script += "echo 'iptables-nft-save v1.8.9 (nf_tables): " + noNFTables + "' >&2; exit 4\n"
		}
		for _, six := range []bool{false, true} {
			for _, verb := range []string{"", "save", "restore"} {
				if err := os.WriteFile(filepath.Join(bin, v.command(six, verb)), []byte(script), 0o700); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	if found, err := installed(t.Context()); err != nil || !slices.Equal(found, []variant{legacy}) {
		t.Errorf("installed: %v, %v", found, err)
	}
	if users, err := MarkUsers(t.Context(), firewall.DefaultMark()); err != nil || len(users) > 0 {
		t.Errorf("rules with the mark: %v, %v", users, err)
	}
}
