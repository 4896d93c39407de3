package config

import (
	"errors"
	"fmt"
	"strings"
)

// anyBelow begins a name that stands for all names below another one.
const anyBelow = "*."

// ParseName reads NAME or *.NAME as entries of a policy have it, and returns it in lower case,
// without a dot at its end unless it is a single word.
func ParseName(text string) (string, error) {
	name := strings.ToLower(text)
	below, wild := strings.CutPrefix(name, anyBelow)
	word, ended := strings.CutSuffix(below, ".")
	labels := strings.Split(word, ".")
	switch {
	case strings.Contains(word, "*"):
		return "", fmt.Errorf("has the name %q, with * elsewhere than in *. at its front", text)
	case len(word) > 253:
		return "", fmt.Errorf("has the name %q, which is longer than 253 letters", text)
	case len(labels) == 1 && !wild && !ended:
		return "", fmt.Errorf("has the name %q without a dot, which could be a mistyped group: write %s. for a name of one word", text, text)
	case labels[len(labels)-1] == "localhost":
		return "", fmt.Errorf("has the name %q, which can never match: it is the container itself (RFC 6761)", text)
	case labels[len(labels)-1] != "" && strings.Trim(labels[len(labels)-1], "0123456789") == "":
		return "", fmt.Errorf("has %q, which is neither an address nor a name: no name ends in a number", text)
	}
	for _, l := range labels {
		if err := parseLabel(l); err != nil {
			return "", fmt.Errorf("has the name %q, %w", text, err)
		}
	}
	if len(labels) == 1 && !wild {
		return word + ".", nil
	}
	return strings.TrimSuffix(name, "."), nil
}

// parseLabel checks what stands between two dots of a name.
func parseLabel(l string) error {
	switch {
	case l == "":
		return errors.New("with nothing between two dots")
	case len(l) > 63:
		return fmt.Errorf("in which %q is longer than 63 letters", l)
	case l[0] == '-' || l[len(l)-1] == '-':
		return fmt.Errorf("in which %q begins or ends with -", l)
	}
	for _, r := range l {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
		case r > 127:
			return fmt.Errorf("in which %q has other letters than a to z: write it as it is asked for, beginning with xn--", l)
		default:
			return fmt.Errorf("in which %q has %q", l, r)
		}
	}
	return nil
}

// Covers says whether an entry's name stands for all for which another one does: *.NAME for
// all below NAME, but not for NAME itself.
func (p Peers) Covers(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	base, wild := strings.CutPrefix(p.Name, anyBelow)
	if !wild {
		return p.Name != "" && strings.TrimSuffix(p.Name, ".") == name
	}
	return strings.HasSuffix(name, "."+base)
}

// Plain is the name of an entry that stands for one name alone; empty for all others.
func (p Peers) Plain() string {
	if strings.HasPrefix(p.Name, anyBelow) {
		return ""
	}
	return p.Name
}
