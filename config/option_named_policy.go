package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// namedPolicyOption names a policy that the administrator keeps.
func namedPolicyOption() []Option {
	return []Option{policyOption("gangway.policy", "name of a policy",
		"a policy that the administrator keeps with `gangway policy`, and changes while containers run: what it says counts where no option does",
		func(v string) (string, error) {
			if v == "" {
				return "", nil
			}
			return v, CheckPolicyName(v)
		}, func(p *Policy) *string { return &p.Name })}
}

// maxPolicyName bounds the names of policies.
const maxPolicyName = 63

// CheckPolicyName refuses what is no name of a policy.
func CheckPolicyName(name string) error {
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' }
	wrong := strings.ContainsFunc(name, func(r rune) bool { return !letter(r) && !strings.ContainsRune("._-", r) })
	if wrong || name == "" || len(name) > maxPolicyName || !letter(rune(name[0])) {
		return fmt.Errorf("is no name of a policy: want up to %d letters, digits, dots, dashes and underlines, a letter or digit first", maxPolicyName)
	}
	return nil
}

// policyWord is a word of a policy.
type policyWord struct {
	name  string
	list  bool
	parse func(string) (string, error)
	field func(*Policy) *string
}

func policyWords() []policyWord {
	return []policyWord{
		{"egress", false, egressWord, func(p *Policy) *string { return &p.Egress }},
		{"egress.allow", true, destinationList, func(p *Policy) *string { return &p.Allow }},
		{"egress.deny", true, destinationList, func(p *Policy) *string { return &p.Deny }},
		{"egress.names", false, namesWord, func(p *Policy) *string { return &p.Names }},
		{"ingress", true, ingressList, func(p *Policy) *string { return &p.Ingress }},
		{"host", true, hostAccessList, func(p *Policy) *string { return &p.Host }},
		{"mode", false, func(v string) (string, error) { return word(v, Modes()) }, func(p *Policy) *string { return &p.Mode }},
	}
}

// PolicyWords are the words of a policy, which are those of options without the prefix
// "gangway.".
func PolicyWords() (names []string) {
	for _, w := range policyWords() {
		names = append(names, w.name)
	}
	return names
}

func findWord(name string) (policyWord, error) {
	for _, w := range policyWords() {
		if w.name == name {
			return w, nil
		}
	}
	return policyWord{}, unknown("word", name, append([]string{"name"}, PolicyWords()...))
}

// KnownWord refuses what is no word of a policy, nor its name.
func KnownWord(name string) error {
	_, err := findWord(name)
	return err
}

// SetWord sets a word of the policy, of which the text is the option's.
func (p *Policy) SetWord(name, text string) error {
	w, err := findWord(name)
	if err != nil {
		return err
	}
	if text == "" {
		return errors.New(name + " has no value")
	}
	if *w.field(p), err = w.parse(text); err != nil {
		return fmt.Errorf("%s: %q %w", name, text, err)
	}
	return nil
}

// Word is what the policy says under a word; "" for nothing.
func (p Policy) Word(name string) string {
	w, err := findWord(name)
	if err != nil {
		return ""
	}
	return *w.field(&p)
}

// IsList says whether a word has a list of entries.
func IsList(name string) bool {
	w, err := findWord(name)
	return err == nil && w.list
}

// Entries are those of a list of destinations.
func Entries(list string) []string {
	if list == "" || list == None {
		return nil
	}
	return strings.Split(list, ",")
}

// ParseDestination reads one destination, and gives it its one form.
func ParseDestination(text string) (string, error) {
	if strings.Contains(text, ",") || text == None {
		return "", fmt.Errorf("%q is not one destination", text)
	}
	one, err := destinationList(text)
	if err == nil && one == "" {
		err = errors.New("is empty")
	}
	if err != nil {
		return "", fmt.Errorf("%q %w", text, err)
	}
	return one, nil
}

// WithEntries is a list of destinations with more entries, each once. Both are in their one form
// already: to parse a list of thousands for each container of a network would take seconds.
func WithEntries(list string, more ...string) string {
	if len(more) == 0 {
		return list
	}
	all := append(slices.Clone(Entries(list)), more...)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}
