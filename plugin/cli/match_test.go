package cli

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/names"
)

func TestPick(t *testing.T) {
	all := []named{{"web", []string{"c1aa", "e1"}}, {"web", []string{"c1aa", "e2"}}, {"web", []string{"c2", "e3"}}, {"c1", []string{"c3", "e4"}}, {"", []string{"e55"}}}
	for arg, want := range map[string]string{
		"web": "c1aa c2", // of two engines
		"c1":  "c3",      // a name, though an id begins so
		"c1a": "c1aa", "e2": "c1aa", "e5": "e55",
		"e":        `container "e": 4 ids begin so: give more of it`,
		"wbe":      `no container "wbe" is here: did you mean "web"?`,
		"xxxxxxxx": `no container "xxxxxxxx" is here: there are c1, web`,
	} {
		ids, err := pick("container", "is here", arg, all)
		got := strings.Join(slices.Sorted(maps.Keys(ids)), " ")
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", arg, got, want)
		}
	}
	if _, err := pick("container", "is here", "web", nil); err == nil || err.Error() != `no container "web" is here` {
		t.Errorf("nothing at all: %v", err)
	}
}

func TestParsePort(t *testing.T) {
	for arg, want := range map[string]hostPort{"80": {80, ""}, "65535/udp": {65535, "udp"}, "1/TCP": {1, "tcp"}} {
		if p, is, err := parsePort(arg); p != want || !is || err != nil {
			t.Errorf("%s: %v, %t, %v", arg, p, is, err)
		}
	}
	for _, arg := range []string{"web", "0", "65536", "8000-8010", "-1", "1a"} {
		if _, is, err := parsePort(arg); is || err != nil {
			t.Errorf("%s: %t, %v", arg, is, err)
		}
	}
	for _, arg := range []string{"0/tcp", "80/", "80/icmp", "web/tcp", "65536/udp"} {
		if _, is, err := parsePort(arg); !is || err == nil {
			t.Errorf("%s: %t, %v", arg, is, err)
		}
	}
}

// TestNumberOrName: a number is a port of the host, and else may be a container's name.
func TestNumberOrName(t *testing.T) {
	i := busyHost()
	i.book = names.New()
	i.book.Source().SetContainers([]names.Place{{EndpointID: ep1, Container: names.Container{ID: web, Name: "8080"}}, {EndpointID: ep2, Container: names.Container{ID: db, Name: "443"}}})
	dir := host(t, i)
	if out := gangway(t, dir, "ports", "8080", "--format", "{{.Port}}").stdout; strings.Count(out, "\n") != 4 {
		t.Errorf("a container 8080: %q", out)
	}
	if out := gangway(t, dir, "ports", "443", "--format", "{{.Port}} of {{.Container}}").stdout; out != "443/tcp of 8080\n" {
		t.Errorf("port 443: %q", out)
	}
}

// TestPublished: what differs in nothing but the host's address is one port.
func TestPublished(t *testing.T) {
	run := func(ip string, first, to uint16, proto, ep string) plugin.Port {
		return plugin.Port{PortStatus: driver.PortStatus{HostIP: netip.MustParseAddr(ip), First: first, Last: first, ContainerFirst: to, Protocol: proto, EndpointID: ep}}
	}
	got := published([]plugin.Port{
		run("::", 80, 8080, "tcp", "a"), run("0.0.0.0", 80, 8080, "tcp", "a"), run("192.0.2.1", 81, 8080, "tcp", "a"),
		run("192.0.2.1", 81, 8080, "tcp", "b"), run("0.0.0.0", 80, 8080, "udp", "a"), run("127.0.0.1", 81, 8081, "tcp", "a"),
	})
	if len(got) != 5 || len(got[0]) != 2 || got[0][0].HostIP.Is6() {
		t.Errorf("%+v", got)
	}
}
