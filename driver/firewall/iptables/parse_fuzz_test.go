package iptables

import (
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	f.Add([]byte(bare().dump()), false)
	f.Add([]byte("*nat\n:GANGWAY-DNAT - [0:0]\n-A GANGWAY-DNAT -j X\n-A OUTPUT -j GANGWAY-DNAT\n"), true)
	f.Add([]byte("-A\n*\n:\n-A \n: \n# Table `nat' is incompatible, use 'nft' tool.\n"), false)
	f.Fuzz(func(t *testing.T, dump []byte, six bool) {
		l, err := parse(dump, hooks(six))
		if err != nil {
			return
		}
		want := compile(rich(), form{six: six, user: true})
		k := kernel{}
		for _, part := range []rules{bareRules(), l.own, l.others} {
			for c, r := range part {
				k[c] = r
			}
		}
		// Whatever was there: the script is made without a panic, and what it
		// does to a chain of others is to a jump to gangway's alone.
		for table, lines := range converge(l, want).lines {
			for _, line := range lines {
				f := strings.SplitN(line, " ", 3)
				if !strings.HasPrefix(strings.TrimPrefix(f[len(f)-2], ":"), ownPrefix) && f[0] == "-D" && !ownRule.MatchString(f[2]) {
					t.Errorf("%s: %s", table, line)
				}
			}
		}
	})
}
