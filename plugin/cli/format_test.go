package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestFormat: templates are those of docker: table, json, values with functions, \t and
// \n as they come through a shell.
func TestFormat(t *testing.T) {
	dir := host(t, namedHost())
	for format, want := range map[string]string{
		"{{.Container}} {{.Port}}":               "shop-web-1 443/tcp\nshop-web-1 5000/sctp\nshop-web-1 8000/tcp\nshop-web-1 10000-10010/udp\n",
		`{{upper .Protocol}}\t{{json .Network}}`: "TCP\t\"shop_front\"\nSCTP\t\"shop_front\"\nTCP\t\"shop_front\"\nUDP\t\"shop_front\"\n",
		`{{truncate .Container 4}}{{pad .Protocol 1 1}}|{{lower "A"}}{{title .Protocol}}{{join (split .HostPorts "-") ":"}}`: "shop tcp |aTcp443\nshop sctp |aSctp5000\nshop tcp |aTcp8000\nshop udp |aUdp10000:10010\n",
		`table {{.Port}}\t{{.HostIPs}}`: "PORT              HOST ADDRESSES\n443/tcp           ::1\n5000/sctp         192.0.2.1\n8000/tcp          0.0.0.0 ::\n10000-10010/udp   0.0.0.0\n",
		"table":                         gangway(t, dir, "ports").stdout,
		"{{json .}}":                    gangway(t, dir, "ports", "--format", "json").stdout,
	} {
		if r := gangway(t, dir, "ports", "--format", format); r.code != 0 || r.stdout != want {
			t.Errorf("%s: %+v\nwant %q", format, r, want)
		}
	}
	for format, want := range map[string]string{
		"{{.Contaner}}":   `did you mean .Container?`,
		"{{.Xyzzyplugh}}": `known are .Container, .ContainerID,`,
		"{{.Port":         "unclosed action",
		"{{nothing .}}":   `"nothing" not defined`,
	} {
		if r := gangway(t, dir, "ports", "--format", format); r.code != 1 || !strings.HasPrefix(r.stderr, "gangway ports: --format: ") || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %+v", format, r)
		}
	}
}

// TestViews: each value that a template can name is in each row, and in the help.
func TestViews(t *testing.T) {
	dir := host(t, namedHost())
	for name, v := range map[string]view{"networks": networksView(), "endpoints": endpointsView(), "ports": portsView(), "addresses": addressesView(), "drops": dropsView(), "decisions": decisionsView()} {
		var fields []string
		for field := range v.headers {
			fields = append(fields, "{{."+field+"}}")
		}
		for _, form := range []string{v.short, v.long, strings.Join(fields, "")} {
			if r := gangway(t, dir, name, "--format", form); r.code != 0 {
				t.Errorf("%s: %+v", name, r)
			}
		}
		var one map[string]string
		first, _, _ := strings.Cut(gangway(t, dir, name, "--format", "json").stdout, "\n")
		if err := json.Unmarshal([]byte(first), &one); err != nil {
			t.Fatal(err)
		}
		if got, want := slices.Sorted(maps.Keys(one)), slices.Sorted(maps.Keys(v.headers)); !slices.Equal(got, want) {
			t.Errorf("%s: rows have %v, want %v", name, got, want)
		}
		help := gangway(t, dir, "help", name).stdout
		for field := range v.headers {
			if !strings.Contains(help, fmt.Sprintf(".%s,", field)) && !strings.Contains(help, fmt.Sprintf(".%s.", field)) {
				t.Errorf("%s --help has no .%s", name, field)
			}
		}
	}
}
