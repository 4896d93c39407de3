package policyfile

import (
	"os"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
)

const two = `# for all files of the house

---
# what agents reach
name: agents   # as in gangway.policy
egress: deny
egress.allow:
  - 10.0.5.7:5432/tcp   # the database
  - "[2001:db8::7]:443"
host: 53

--- # the next one
name: guests
egress: internet
ingress: 22/tcp=10.8.0.0/24, any
mode: audit
...
`

// TestParse: each document is a policy with its own text, and comments are part of it.
func TestParse(t *testing.T) {
	all, err := Parse("two.yml", two)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d documents: %v", len(all), err)
	}
	for i, want := range []Document{
		{Name: "agents", At: "two.yml:5:7", Policy: config.Policy{Egress: "deny", Allow: "10.0.5.7:5432/tcp,[2001:db8::7]:443", Host: "53"}},
		{Name: "guests", At: "two.yml:13:7", Policy: config.Policy{Egress: "internet", Ingress: "22/tcp=10.8.0.0/24,any", Mode: "audit"}},
	} {
		got := all[i]
		if want.Text = got.Text; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		again, err := Parse("again.yml", got.Text)
		if err != nil || len(again) != 1 || again[0].Text != got.Text || again[0].Policy != got.Policy {
			t.Errorf("its text gives %+v (%v)", again, err)
		}
	}
	if text := all[0].Text; !strings.HasPrefix(text, "# what agents reach\n") || !strings.HasSuffix(text, "host: 53\n") {
		t.Errorf("the text is %q", text)
	}
	if err := Unique(append(all, all[0])); err == nil || !strings.Contains(err.Error(), "stands at two.yml:5:7 already") {
		t.Error(err)
	}
	if err := Unique(all); err != nil {
		t.Error(err)
	}
}

// TestParseErrors: an error names file, line and column, and the word that was meant.
func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"name: a\negres: deny\n":                                                            `f.yml:2:1: unknown word "egres": did you mean egress?`,
		"name: a\negress: closed\n":                                                         `f.yml:2:9: egress: "closed" is none of open, internet, deny`,
		"name: a\negress.allow:\n  - 10.0.0.1\n  - intenet:80\n":                            `f.yml:4:5: egress.allow: "intenet:80" has "intenet": did you mean internet?`,
		"# one\nname: a\nhost: any\n---\n\nname: b\nhost:\n  - dsn":                         `f.yml:8:5: host: "dsn" has "dsn": did you mean dns?`,
		"name: a\negress: deny\nname: b\n":                                                  "f.yml:3:1: name stands on line 1 already",
		"name: a\negress: open\negress.allow: 10.0.0.1\n":                                   "f.yml:3:15: gangway.egress.allow has 10.0.0.1, and gangway.egress allows everything",
		"name: a\negress.allow:\n  - 10.1.0.1\n  - 10.0.0.1:80\negress.deny: 10.0.0.0/24\n": "f.yml:4:5: gangway.egress.allow has 10.0.0.1:80, which can never match: gangway.egress.deny has 10.0.0.0/24",
		"name: a\negress.deny:\n  - metadata\n  - a.example\n":                              "f.yml:4:5: gangway.egress.deny has a.example, which can never match",
		"name: a\nhost: 22/tpc\n":                                                           `f.yml:2:7: host: "22/tpc" has "22/tpc", which has an unknown protocol "tpc": did you mean tcp?`,
		"egress: deny\n":                                                                    "f.yml:1:1: the policy has no name",
		"name: a\n":                                                                         "f.yml:1:1: policy a says nothing",
		"name: a b\nhost: any\n":                                                            `f.yml:1:7: "a b" is no name of a policy`,
		"name: a\nhost:\n":                                                                  "f.yml:2:6: there is no value",
		"name: a\nhost: []\n":                                                               "f.yml:2:7: host has no entries",
		"name: a\negress: [deny]\n":                                                         "f.yml:2:9: egress is one word, not a list",
		"name: a\negress.deny: *x\n":                                                        "f.yml:2:",
		"name: a\negress.deny: [2001:db8::7]:443\n":                                         "stands in quotes",
		"name: a\negress.deny:\n  - [10.0.0.1]\n":                                           "f.yml:3:5: want a text",
		"name: a\negress.deny:\n  - 10.0.0.1,10.0.0.2\n":                                    "f.yml:3:5: \"10.0.0.1,10.0.0.2\" has a comma",
		"name: a\negress.deny:\n  - 10.0.0.1\n  - none\n":                                   "f.yml:4:5: ",
		"name: a\nhost:\n  - any\n  - 53\n":                                                 "f.yml:3:5: any stands alone",
		"name: a\ningress:\n  - any\n  - lan\n":                                             "f.yml:3:3: ingress: ",
		"name: a\n\thost: any\n":                                                            "f.yml:2:1: ",
		"name: &x a\nhost: any\n":                                                           "f.yml:1:7: anchors",
		"name: !!str a\nhost: any\n":                                                        "f.yml:1:7: tags",
		"- name: a\n":                                                                       "f.yml:1:1: want words of a policy",
		"just text\n":                                                                       "f.yml:1:1: want words of a policy",
		"name: a\n--- b\n":                                                                  "f.yml:2:5: a document begins on the line behind ---",
		"%YAML 1.2\n---\nname: a\n":                                                         "f.yml:1:1: a directive",
		"name: {a: b}\nhost: any\n":                                                         "f.yml:1:7: want a text",
		"? [a]\n: b\n":                                                                      "f.yml:1:3: want a word",
	} {
		_, err := Parse("f.yml", text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "f.yml:") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	for _, text := range []string{"", "\n", "# nothing\n", "---\n---\n# no\n..."} {
		if all, err := Parse("f.yml", text); err != nil || len(all) > 0 {
			t.Errorf("%q: %v, %v", text, all, err)
		}
	}
}

// TestExample: the file of the examples is one that can be applied.
func TestExample(t *testing.T) {
	text, err := os.ReadFile("../../examples/agent-sandbox/policy.yml")
	if err != nil {
		t.Fatal(err)
	}
	all, err := Parse("policy.yml", string(text))
	if err != nil || len(all) != 2 || all[1].Name != "couriers" || all[1].Policy.Allow != "192.0.2.2:5432/tcp,192.0.2.2:8443/tcp" {
		t.Errorf("%+v (%v)", all, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(two)
	f.Add("name: a\nhost: any\n")
	f.Add("{name: a, egress: deny, egress.allow: [10.0.0.1:80, internet]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Parse("f", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("%q: the error names no place: %v", text, err)
			}
			return
		}
		for _, d := range all {
			again, err := Parse("f", d.Text)
			if err != nil || len(again) != 1 || again[0].Policy != d.Policy || again[0].Text != d.Text || again[0].Name != d.Name {
				t.Errorf("%q has the document %q, which gives %+v (%v)", text, d.Text, again, err)
			}
		}
	})
}
