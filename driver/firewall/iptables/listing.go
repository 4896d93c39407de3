package iptables

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
)

// listing is what the kernel holds in one family.
type listing struct {
	// own holds gangway's chains.
	own rules
	// others holds the chains of others as far as it matters: the ones that
	// hooks stand in, and any that leads to a chain of gangway.
	others rules
}

// maxLine bounds one line of iptables-save, in bytes; rules of some hundred
// bytes are long ones.
const maxLine = 1 << 20

// parse reads what iptables-save prints.
func parse(dump []byte, six bool) (listing, error) {
	l := listing{own: rules{}, others: rules{}}
	at := map[chain]bool{}
	for _, h := range hooks(six) {
		at[h.at] = true
	}
	table := ""
	lines := bufio.NewScanner(bytes.NewReader(dump))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "*"):
			table = line[1:]
		case strings.HasPrefix(line, ":"):
			name, _, _ := strings.Cut(line[1:], " ")
			if strings.HasPrefix(name, ownPrefix) {
				l.own[chain{table, name}] = nil
			}
		case strings.HasPrefix(line, "-A "):
			name, rule, _ := strings.Cut(line[len("-A "):], " ")
			l.addRule(chain{table, name}, rule, at)
		case strings.HasPrefix(line, "# Table `"):
			if err := incompatible(line); err != nil {
				return l, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return l, fmt.Errorf("read the rules: %w", err)
	}
	return l, nil
}

func (l *listing) addRule(c chain, rule string, at map[chain]bool) {
	switch {
	case strings.HasPrefix(c.name, ownPrefix):
		l.own[c] = append(l.own[c], rule)
	case at[c] || ownRule.MatchString(rule):
		l.others[c] = append(l.others[c], rule)
	}
}

// incompatible reports a table that iptables cannot list, since the nft tool
// put something into it that iptables has no words for.
func incompatible(line string) error {
	for _, table := range []string{"filter", "nat", "raw"} {
		if strings.HasPrefix(line, "# Table `"+table+"' is incompatible") {
			return fmt.Errorf("iptables cannot read table %s, because something else than iptables put rules into it: "+
				"move those to a table of their own (nft list table ip %s, or ip6 %s)", table, table, table)
		}
	}
	return nil
}
