package policyfile

import (
	"strings"

	"github.com/gangway-net/gangway/config"
)

// Write makes a document of a policy that Parse reads; about are lines of a comment before it.
func Write(name string, p config.Policy, about ...string) string {
	var b strings.Builder
	for _, line := range about {
		b.WriteString("# " + line + "\n")
	}
	b.WriteString("name: " + name + "\n")
	for _, word := range config.PolicyWords() {
		text := p.Word(word)
		list := config.Entries(text)
		switch {
		case text == "" || text == config.None && strings.HasPrefix(word, "egress."):
		case !config.IsList(word) || text == config.None || len(list) == 1:
			b.WriteString(word + ": " + quoted(text) + "\n")
		default:
			b.WriteString(word + ":\n")
			for _, entry := range list {
				b.WriteString("  - " + quoted(entry) + "\n")
			}
		}
	}
	return b.String()
}

// quoted is a text that YAML takes for nothing else.
func quoted(text string) string {
	if strings.Trim(text, "0123456789:-/") == "" || strings.ContainsAny(text[:1], "[*") {
		return `"` + text + `"`
	}
	return text
}

// NameFor is a name for a policy, from what somebody is called.
func NameFor(called string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '-'
	}, called)
	if name = strings.TrimLeft(name, "._-"); len(name) > 60 {
		name = name[:60]
	}
	if config.CheckPolicyName(name) != nil {
		return "learned"
	}
	return name
}
