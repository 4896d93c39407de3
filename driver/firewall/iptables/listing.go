package iptables

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// listing is what the kernel holds in one family.
type listing struct {
	// own holds gangway's chains.
	own rules
	// others holds the chains of others as far as it matters: the ones that
	// hooks stand in, DOCKER-USER, and any that leads to a chain of gangway.
	others rules
	// hooks are those that there may be.
	hooks []hook
	// user says that there is a DOCKER-USER.
	user bool
	// policy is what FORWARD does with what no rule decides; "" if there is no
	// such chain.
	policy string
}

// maxLine bounds one line of iptables-save, in bytes; rules of some hundred
// bytes are long ones.
const maxLine = 1 << 20

// parse reads what iptables-save prints, with regard to the hooks that there
// may be. Tables without any of them are passed over if they cannot be read.
func parse(dump []byte, hooks []hook) (listing, error) {
	l := listing{own: rules{}, others: rules{}, hooks: hooks}
	at := map[chain]bool{dockerUser: true}
	for _, h := range hooks {
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
			name, rest, _ := strings.Cut(line[1:], " ")
			l.addChain(chain{table, name}, rest)
		case strings.HasPrefix(line, "-A "):
			name, rule, _ := strings.Cut(line[len("-A "):], " ")
			l.addRule(chain{table, name}, rule, at)
		case strings.HasPrefix(line, "# Table `"):
			if err := incompatible(line, at); err != nil {
				return l, err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return l, fmt.Errorf("read the rules: %w", err)
	}
	return l, nil
}

// addChain takes note of a chain; rest is its policy and counters.
func (l *listing) addChain(c chain, rest string) {
	if strings.HasPrefix(c.name, ownPrefix) {
		l.own[c] = nil
	}
	switch c {
	case dockerUser:
		l.user = true
	case filterForward:
		l.policy, _, _ = strings.Cut(rest, " ")
	}
}

func (l *listing) addRule(c chain, rule string, at map[chain]bool) {
	switch {
	case strings.HasPrefix(c.name, ownPrefix):
		l.own[c] = append(l.own[c], rule)
	case at[c] || ownRule.MatchString(rule):
		l.others[c] = append(l.others[c], rule)
	}
}

// errIncompatible says that a table is none of iptables any more.
var errIncompatible = errors.New("something else than iptables put rules into it")

// incompatible reports a table with hooks that iptables cannot list, since the
// nft tool put something into it that iptables has no words for.
func incompatible(line string, at map[chain]bool) error {
	for c := range at {
		if table := c.table; strings.HasPrefix(line, "# Table `"+table+"' is incompatible") {
			return fmt.Errorf("iptables cannot read table %s, because %w: "+
				"move those to a table of their own (nft list table ip %s, or ip6 %s)", table, errIncompatible, table, table)
		}
	}
	return nil
}
