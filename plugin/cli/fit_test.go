package cli

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin/names"
)

// TestFit: no table is wider than 120 columns, whatever names and lists it has; what is
// a list is whole, and --no-trunc cuts nothing.
func TestFit(t *testing.T) {
	i := busyHost()
	i.book = names.New()
	engine := i.book.Source()
	const network, container = "a-project-with-a-long-name_frontend-network", "a-project-with-a-long-name-the-web-service-1"
	engine.SetNetworks([]names.Network{{ID: net1, Name: network}})
	engine.SetContainers([]names.Place{{EndpointID: ep1, NetworkID: net1, Container: names.Container{ID: web, Name: container}}})
	six := netip.MustParsePrefix("2001:db8:1234:5678:9abc:def0:1234:5678/64")
	i.endpoints[2].Addresses = append(i.endpoints[2].Addresses, six)
	for n := range 5 {
		i.ports = append(i.ports, driver.PortStatus{EndpointID: ep1, NetworkID: net1, Protocol: "tcp", HostIP: netip.MustParseAddr(fmt.Sprintf("2001:db8:1234:5678:9abc:def0:1234:%d", 1000+n)), First: 40000, Last: 49999, ContainerIP: six.Addr(), ContainerFirst: 40000, Path: "nat+relay"})
	}
	dir := host(t, i)
	for name, whole := range map[string][]string{
		"networks":  {"10.50.0.0/24", "fd00:51::/64", "bridge.gateway_mode_ipv6=routed", "gangway.anti_spoofing=true"},
		"endpoints": {"10.50.0.2/24", "fd00:51::2/64", six.String()},
		"ports":     {"2001:db8:1234:5678:9abc:def0:1234:1000", "2001:db8:1234:5678:9abc:def0:1234:1004", "40000-49999/tcp"},
	} {
		out := gangway(t, dir, name).stdout
		for line := range strings.Lines(out) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, " \n")); n > width {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
		}
		for _, word := range whole {
			if !strings.Contains(out, word) {
				t.Errorf("%s: no %s in\n%s", name, word, out)
			}
		}
		long := gangway(t, dir, name, "--no-trunc").stdout
		if !strings.Contains(long, network) || strings.Contains(long, "…") || name != "networks" && !strings.Contains(long, container) {
			t.Errorf("%s --no-trunc:\n%s", name, long)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"", 3, ""}, {"abc", 3, "abc"}, {"abcd", 3, "a…d"}, {"a b c", 3, "a b|c"}, {"a bcdef g", 3, "a|b…f|g"}, {"äöü d", 3, "äöü|d"}, {"a b, c d", 5, "a b,|c d"}, {"a b, c d, e", 5, "a b,|c d,|e"},
	} {
		if got := strings.Join(split(c.text, c.width), "|"); got != c.want {
			t.Errorf("%q in %d: %q, want %q", c.text, c.width, got, c.want)
		}
	}
}
