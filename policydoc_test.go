package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/plugin/policyfile"
)

// TestPolicyDocs: what docs/policy.md says to write can be written: the options of each line
// together, and the file of policies.
func TestPolicyDocs(t *testing.T) {
	text, err := os.ReadFile("docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	option := regexp.MustCompile(`gangway\.(egress\.allow|egress\.deny|egress|ingress|host|mode)(?:=|: "?)([^\s` + "`" + `"}]+[^\s` + "`" + `"},.])`)
	checked := 0
	for line := range strings.Lines(string(text)) {
		var p config.Policy
		for _, m := range option.FindAllStringSubmatch(line, -1) {
			if strings.Contains(m[2], "…") || m[2] == "open" && p != (config.Policy{}) {
				continue // a part, or what a sentence says of another one
			}
			if wrong := p.SetWord(m[1], strings.TrimSuffix(m[2], ",")); wrong != nil {
				t.Errorf("%s: %v", strings.TrimSpace(line), wrong)
			}
			checked++
		}
		if p.Egress == "" {
			p.Egress = config.EgressDeny
		}
		whole, wrong := policy.Of(p)
		if wrong == nil {
			wrong = whole.Check(true, true)
		}
		if wrong != nil {
			t.Errorf("%s: %v", strings.TrimSpace(line), wrong)
		}
	}
	if checked < 30 {
		t.Errorf("%d options were found", checked)
	}
	_, file, _ := strings.Cut(string(text), "    # what agents reach\n")
	file, _, _ = strings.Cut(file, "\n\n")
	all, err := policyfile.Parse("docs/policy.md", strings.ReplaceAll(file, "    ", ""))
	if err != nil || len(all) != 1 || all[0].Name != "agents" {
		t.Errorf("%+v (%v)", all, err)
	}
}
