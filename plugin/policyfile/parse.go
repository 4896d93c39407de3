package policyfile

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
)

// Document is one policy of a file.
type Document struct {
	Name   string
	Policy config.Policy
	// Text is the document, without what separates it from others.
	Text string
	// At is where its name stands: file, line and column.
	At string
}

// Parse reads the documents of a file; name is the file's, for errors.
func Parse(name, text string) ([]Document, error) {
	parts, err := split(name, text)
	if err != nil {
		return nil, err
	}
	var all []Document
	for _, p := range parts {
		d, empty, err := p.parse()
		if err != nil {
			return nil, err
		}
		if !empty {
			all = append(all, d)
		}
	}
	return all, nil
}

// Unique refuses a name that several documents have.
func Unique(all []Document) error {
	at := map[string]string{}
	for _, d := range all {
		if before, twice := at[d.Name]; twice {
			return fmt.Errorf("%s: policy %s stands at %s already", d.At, d.Name, before)
		}
		at[d.Name] = d.At
	}
	return nil
}

// part is the text of a document.
type part struct {
	file string
	// before is how many lines come before it.
	before int
	text   string
}

// split cuts a file where documents begin. The YAML parser does so as well, and does not tell
// the text of each.
func split(file, text string) (all []part, err error) {
	var lines []string
	before := 0
	end := func(next int) {
		if body := strings.Join(lines, ""); strings.TrimSpace(body) != "" {
			kept := strings.TrimLeft(body, "\r\n")
			skipped := strings.Count(body[:len(body)-len(kept)], "\n")
			all = append(all, part{file, before + skipped, strings.TrimRight(kept, " \t\r\n") + "\n"})
		}
		lines, before = nil, next
	}
	n := 0
	for line := range strings.SplitAfterSeq(text, "\n") {
		n++
		rest, begins := strings.CutPrefix(line, "---")
		if !begins {
			rest, begins = strings.CutPrefix(line, "...")
		}
		rest = strings.TrimSpace(rest)
		switch {
		case begins && (rest == "" || rest[0] == '#'):
			end(n)
		case begins && strings.ContainsAny(line[3:4], " \t"):
			return nil, part{file: file}.wrong(n, 5, errors.New("a document begins on the line behind ---"))
		case strings.HasPrefix(line, "%"):
			return nil, part{file: file}.wrong(n, 1, errors.New("a directive of YAML, which no policy needs"))
		default:
			lines = append(lines, line)
		}
	}
	end(n)
	return all, nil
}

// wrong is an error at a place of the part.
func (p part) wrong(line, column int, err error) error {
	return fmt.Errorf("%s:%d:%d: %w", p.file, p.before+max(line, 1), max(column, 1), err)
}

func (p part) at(n *yaml.Node, format string, args ...any) error {
	return p.wrong(n.Line, n.Column, fmt.Errorf(format, args...))
}

// parse reads the part; empty says that it holds nothing but comments.
func (p part) parse() (d Document, empty bool, err error) {
	if bare(p.text) {
		return d, true, nil
	}
	var root yaml.Node
	if err := yaml.Load([]byte(p.text), &root); err != nil {
		if bad := (*yaml.LoadError)(nil); errors.As(err, &bad) {
			return d, false, p.syntax(bad)
		}
		return d, false, p.wrong(1, 1, err)
	}
	top := &root
	if root.Kind == yaml.DocumentNode && len(root.Content) == 1 {
		top = root.Content[0]
	}
	if top.Kind != yaml.MappingNode {
		return d, false, p.at(top, "want words of a policy, such as \"name: agents\", each on a line")
	}
	d.Text = p.text
	values := map[string]*yaml.Node{}
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(top.Content); i += 2 {
		word, value := top.Content[i], top.Content[i+1]
		if before := seen[word.Value]; before != nil {
			return d, false, p.at(word, "%s stands on line %d already", word.Value, p.before+before.Line)
		}
		seen[word.Value], values[word.Value] = word, value
		if err := p.take(&d, word, value); err != nil {
			return d, false, err
		}
	}
	if d.Name == "" {
		return d, false, p.at(top, "the policy has no name: begin with \"name: …\"")
	}
	if d.Policy == (config.Policy{}) {
		return d, false, p.at(top, "policy %s says nothing: want one of %s", d.Name, strings.Join(config.PolicyWords(), ", "))
	}
	return d, false, p.contradiction(d, values)
}

// contradiction refuses an entry that can never match, whatever a network says beside the policy,
// at its place.
func (p part) contradiction(d Document, values map[string]*yaml.Node) error {
	texts := d.Policy
	texts.Egress = cmp.Or(texts.Egress, config.EgressDeny) // a network may say it
	whole, err := policy.Of(texts)
	if err == nil {
		err = whole.Check(true, true)
	}
	if err == nil {
		return nil
	}
	var of *policy.Mistake
	if !errors.As(err, &of) {
		return fmt.Errorf("%s: %w", d.At, err)
	}
	at := values[strings.TrimPrefix(string(of.Option), "gangway.")]
	for _, item := range at.Content {
		if all, failed := config.ParseDestinations(item.Value); failed == nil && len(all) == 1 && all[0].String() == of.Value {
			at = item
		}
	}
	return p.at(at, "%w", err)
}

// bare says that a text has nothing but comments.
func bare(text string) bool {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// syntax explains what is no YAML.
func (p part) syntax(bad *yaml.LoadError) error {
	text := bad.Message
	if lines := strings.Split(p.text, "\n"); bad.Mark.Line > 0 && bad.Mark.Line <= len(lines) && strings.ContainsAny(lines[bad.Mark.Line-1], "[*&!") {
		text += `; an entry that begins with [ or * stands in quotes, as in "[2001:db8::7]:443"`
	}
	return p.wrong(bad.Mark.Line, bad.Mark.Column, errors.New(text))
}

// take reads one word.
func (p part) take(d *Document, word, value *yaml.Node) error {
	if word.Kind != yaml.ScalarNode {
		return p.at(word, "want a word of a policy")
	}
	if word.Value == "name" {
		text, err := p.scalar(value)
		if err != nil {
			return err
		}
		if err := config.CheckPolicyName(text); err != nil {
			return p.at(value, "%q %w", text, err)
		}
		d.Name, d.At = text, fmt.Sprintf("%s:%d:%d", p.file, p.before+value.Line, value.Column)
		return nil
	}
	if err := config.KnownWord(word.Value); err != nil {
		return p.at(word, "%w", err)
	}
	if value.Kind != yaml.SequenceNode {
		text, err := p.scalar(value)
		if err == nil {
			err = d.Policy.SetWord(word.Value, text)
			if err != nil {
				err = p.at(value, "%w", err)
			}
		}
		return err
	}
	return p.list(d, word, value)
}

// list reads a word whose value is a list. Each entry is tried alone first, so that an error
// names its place.
func (p part) list(d *Document, word, value *yaml.Node) error {
	if !config.IsList(word.Value) {
		return p.at(value, "%s is one word, not a list", word.Value)
	}
	var texts []string
	for _, item := range value.Content {
		text, err := p.scalar(item)
		if err != nil {
			return err
		}
		if strings.Contains(text, ",") {
			return p.at(item, "%q has a comma: an entry of a list stands on a line of its own", text)
		}
		var alone config.Policy
		if err := alone.SetWord(word.Value, text); err != nil {
			return p.at(item, "%w", err)
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return p.at(value, "%s has no entries: none is the empty list", word.Value)
	}
	if len(texts) > 1 && word.Value != "ingress" {
		for i, text := range texts {
			if text == config.None || text == config.Any {
				return p.at(value.Content[i], "%s stands alone, not among other entries", text)
			}
		}
	}
	if err := d.Policy.SetWord(word.Value, strings.Join(texts, ",")); err != nil {
		return p.at(value, "%w", err)
	}
	return nil
}

// scalar is the text of a plain value, whatever YAML takes it for: 53 is a port.
func (p part) scalar(n *yaml.Node) (string, error) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		return "", p.at(n, "anchors and aliases are not known here; an entry that begins with * stands in quotes")
	case n.Kind != yaml.ScalarNode:
		return "", p.at(n, `want a text; an entry that begins with [ stands in quotes, as in "[2001:db8::7]:443"`)
	case n.Style&yaml.TaggedStyle != 0:
		return "", p.at(n, "tags are not known here")
	case strings.TrimSpace(n.Value) == "" || n.Tag == "!!null":
		return "", p.at(n, "there is no value")
	}
	return n.Value, nil
}
