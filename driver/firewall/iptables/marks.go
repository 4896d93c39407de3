package iptables

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/driver/firewall"
)

// markWords are the parts of a rule that are about the packet's mark, with the bits
// that they are about: iptables-save leaves a mask out, or says that it has all bits,
// where a rule is about the whole mark.
var markWords = regexp.MustCompile(`--(?:mark|set-xmark|nfmask|restore-mark --nfmask) (?:0x[0-9a-f]+/)?(0x[0-9a-f]+)`)

// MarkUsers returns the rules of others, in words, that use single bits of the packet
// mark and one of these among them. Rules that match or set the whole mark are no such:
// gangway's bits are on a packet only while it passes the chains of FORWARD.
func MarkUsers(ctx context.Context, mark firewall.Mark) ([]string, error) {
	found, err := installed(ctx)
	if err != nil {
		return nil, nil //nolint:nilerr // nobody has rules where there are no commands
	}
	var users []string
	for _, v := range found {
		for _, six := range families() {
			if v == legacy && len(legacyTablesOf(six)) == 0 {
				continue
			}
			name := v.command(six, "save")
			dump, err := run(ctx, "", name)
			if err != nil {
				return nil, fmt.Errorf("look for rules that use the same bits of the packet mark: %w", err)
			}
			users = append(users, markUsers(dump, mark)...)
		}
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}

// markUsers finds them in what iptables-save prints.
func markUsers(dump []byte, mark firewall.Mark) (users []string) {
	table := ""
	lines := bufio.NewScanner(bytes.NewReader(dump))
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		line := lines.Text()
		if name, is := strings.CutPrefix(line, "*"); is {
			table = name
			continue
		}
		if strings.HasPrefix(line, ":") || strings.HasPrefix(line, "-A "+ownPrefix) || ownRule.MatchString(line) {
			continue
		}
		for _, m := range markWords.FindAllStringSubmatch(line, -1) {
			bits, err := strconv.ParseUint(m[1], 0, 32)
			if err == nil && uint32(bits) != ^uint32(0) && uint32(bits)&mark.Mask() != 0 {
				users = append(users, table+": "+line)
				break
			}
		}
	}
	return users
}
