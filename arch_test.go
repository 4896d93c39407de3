package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gangway-net/gangway"

// arrows says which packages of the project each package may import. Imports
// form a tree with main at its root: what holds decisions (config, driver,
// ipam) never learns of what talks to the kernel or the wire.
var arrows = map[string][]string{
	"":                          {"config", "ipam", "ipam/lease", "ipam/lease/dhcp", "driver", "driver/cause", "driver/drift", "driver/events", "driver/model", "driver/link", "driver/nflog", "driver/firewall", "driver/firewall/firewalld", "driver/firewall/iptables", "driver/firewall/nftables", "driver/firewall/policed", "driver/hostport", "driver/conntrack", "driver/reader", "driver/resolver", "driver/watch", "plugin", "plugin/engine", "plugin/metrics", "plugin/names", "plugin/page", "plugin/store", "plugin/cli"},
	"config":                    {},
	"printable":                 {},
	"ipam":                      {"config", "ipam/lease"},
	"ipam/lease":                {},
	"ipam/lease/dhcp":           {"ipam/lease"},
	"driver":                    {"config", "driver/cause", "driver/commit", "driver/drift", "driver/events", "driver/facts", "driver/kinds", "driver/lock", "driver/model", "driver/needs", "driver/owners", "driver/plan", "driver/policy", "driver/spec", "driver/undo", "driver/firewall"},
	"driver/commit":             {"config", "driver/firewall", "driver/lock", "driver/model", "driver/plan", "driver/spec", "driver/undo"},
	"driver/drift":              {"driver/commit", "driver/events", "driver/facts", "driver/firewall", "driver/lock", "driver/model", "driver/owners", "driver/plan", "driver/spec"},
	"driver/kinds":              {"driver/commit", "driver/drift", "driver/firewall", "driver/lock", "driver/model", "driver/owners", "driver/plan", "driver/spec"},
	"driver/cause":              {},
	"driver/events":             {},
	"driver/facts":              {"driver/firewall", "driver/model", "driver/plan", "driver/spec"},
	"driver/lock":               {},
	"driver/model":              {"config", "driver/firewall", "driver/spec"},
	"driver/needs":              {"config", "driver/cause", "driver/firewall", "driver/model", "driver/plan", "driver/spec"},
	"driver/owners":             {"driver/model", "driver/spec"},
	"driver/plan":               {"config", "driver/firewall", "driver/model", "driver/policy", "driver/spec"},
	"driver/spec":               {},
	"driver/undo":               {},
	"driver/bpfprog":            {},
	"driver/nlattr":             {},
	"driver/kernel":             {},
	"driver/procfile":           {},
	"driver/nflog":              {"driver/firewall"},
	"driver/link":               {"driver/bpfprog", "driver/kernel", "driver/link/portfilter", "driver/nlattr", "driver/procfile", "driver/spec", "driver/undo"},
	"driver/link/portfilter":    {"driver/bpfprog"},
	"driver/policy":             {"config", "driver/spec"},
	"driver/firewall":           {"driver/policy", "driver/spec"},
	"driver/firewall/firewalld": {},
	"driver/firewall/policed":   {"config", "driver/firewall", "driver/policy"},
	"driver/firewall/iptables":  {"driver/firewall", "driver/procfile", "driver/spec", "driver/undo"},
	"driver/firewall/nftables":  {"config", "driver/firewall", "driver/policy", "driver/spec"},
	"driver/hostport":           {"driver/bpfprog", "driver/procfile", "driver/spec", "printable"},
	"driver/reader":             {"config", "driver/firewall", "driver/policy", "driver/servername"},
	"driver/resolver":           {"config", "driver/cause", "driver/firewall", "driver/policy", "driver/reader"},
	"driver/servername":         {},
	"driver/nftrace":            {},
	"driver/conntrack":          {"driver/nlattr", "driver/policy", "driver/spec"},
	"driver/watch":              {"driver/bpfprog", "driver/nlattr", "driver/procfile", "driver/spec", "printable"},
	"plugin":                    {"plugin/policyfile", "config", "driver", "driver/cause", "driver/events", "driver/firewall", "driver/model", "driver/spec", "ipam", "ipam/lease", "plugin/names", "printable"},
	"plugin/capture":            {},
	"plugin/doctor":             {"config", "driver/cause", "driver/kernel", "driver/policy", "plugin", "plugin/enter"},
	"plugin/enter":              {},
	"plugin/trace":              {"driver/nftrace", "driver/policy", "plugin", "plugin/enter"},
	"plugin/policyfile":         {"config", "driver/policy"},
	"plugin/engine":             {"driver", "ipam", "plugin/names"},
	"plugin/names":              {"printable"},
	"plugin/graph":              {"config", "plugin", "printable"},
	"plugin/page":               {"driver", "plugin", "plugin/trace"},
	"plugin/support":            {},
	"plugin/metrics":            {"config", "driver", "driver/cause", "driver/spec", "ipam", "plugin", "plugin/webserver", "printable"},
	"plugin/store":              {},
	"plugin/cli":                {"config", "driver", "driver/cause", "driver/firewall", "ipam/lease", "plugin", "plugin/capture", "plugin/dockerapi", "plugin/doctor", "plugin/graph", "plugin/page", "plugin/support", "plugin/trace", "plugin/webserver", "printable"},
	"plugin/dockerapi":          {"driver"},
	"plugin/webserver":          {"config"},
	"packaging/generate":        {"config", "plugin", "plugin/cli"},
}

// standardOnly lists packages that may import nothing but the standard library
// and the project.
var standardOnly = []string{"config", "driver/cause", "driver/events", "driver/facts", "driver/lock", "driver/model", "driver/needs", "driver/owners", "driver/plan", "driver/spec", "driver/firewall", "driver/kernel", "driver/undo", "printable"}

// forTests lists packages that exist for tests and are imported by tests only.
func forTests(pkg string) bool {
	return strings.HasPrefix(pkg, "integration") || strings.HasSuffix(pkg, "test")
}

type goPackage struct {
	ImportPath string
	Imports    []string
}

func TestImports(t *testing.T) {
	for _, p := range listPackages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if forTests(name) {
			continue
		}
		allowed, known := arrows[name]
		if !known {
			t.Errorf("package %s has no place in the architecture: add it to arrows with what it may import", name)
			continue
		}
		for _, i := range p.Imports {
			inner, ours := strings.CutPrefix(i, module+"/")
			switch {
			case ours && !slices.Contains(allowed, inner):
				t.Errorf("%s imports %s, which it must not know", name, inner)
			case !ours && slices.Contains(standardOnly, name) && strings.Contains(strings.Split(i, "/")[0], "."):
				t.Errorf("%s imports %s, and may import the standard library only", name, i)
			}
		}
	}
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		list = append(list, p)
	}
}
