package graph_test

import (
	"encoding/xml"
	"errors"
	"html"
	"io"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/integration/golden"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/graph"
	"github.com/gangway-net/gangway/plugin/graph/graphtest"
)

func forms() map[string]func(io.Writer, plugin.Graph) error {
	return map[string]func(io.Writer, plugin.Graph) error{"svg": graph.SVG, "mmd": graph.Mermaid, "dot": graph.Dot}
}

func draw(t testing.TB, form string, g plugin.Graph) string {
	t.Helper()
	var b strings.Builder
	if err := forms()[form](&b, g); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// odd has what the shop has not: a container without addresses, a relay, a run on several
// addresses, both modes, nothing on a network, and what belongs nowhere.
func odd() plugin.Graph {
	h := graphtest.New()
	h.Network("empty", func(n *plugin.Network) { n.ModeIPv4 = "isolated" }, "10.1.0.0/24")
	mixed := h.Network("", func(n *plugin.Network) { n.ModeIPv6 = "routed" }, "10.2.0.0/24", "fd00:2::/64")
	six := h.Network("six", nil, "fd00:3::/64")
	h.Container("", mixed)
	e := h.Container("dns", mixed, "10.2.0.2/24", "fd00:2::2/64")
	for _, at := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
		h.Publish(e, at, "udp", 53, 53, 5353)
	}
	relayed := h.Container("old", six, "fd00:3::2/64")
	h.Publish(relayed, "", "sctp", 1, 65535, 1)
	h.Ports[len(h.Ports)-1].Path = "relay"
	h.Container("nowhere", "gone", "10.3.0.2/24")
	policed := h.Network("policed", func(n *plugin.Network) { n.Policy = config.Policy{Egress: "deny", Mode: "audit"} }, "10.4.0.0/24")
	for _, own := range []config.Policy{{Egress: "deny", Mode: "audit"}, {Egress: "internet"}, {}} {
		h.Container("c"+own.Egress, policed, "10.4.0.2/24")
		h.Endpoints[len(h.Endpoints)-1].Policy = own
	}
	h.Ports = append(h.Ports, plugin.Port{})
	return h.Graph
}

// TestPictures holds the pictures against files that were looked at.
func TestPictures(t *testing.T) {
	for name, g := range map[string]plugin.Graph{"shop": graphtest.Shop().Graph, "hostile": graphtest.Hostile().Graph, "odd": odd(), "empty": graphtest.New().Graph} {
		for form := range forms() {
			file := filepath.Join("testdata", name+"."+form)
			if name+form == "shopsvg" {
				file = "../../docs/graph.svg"
			}
			golden.Compare(t, file, draw(t, form, g))
		}
	}
}

// texts are what an SVG shows, and fails for what is no XML.
func texts(t testing.TB, svg string) (shown, elements []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		switch token := token.(type) {
		case xml.StartElement:
			elements = append(elements, token.Name.Local)
			for _, a := range token.Attr {
				if strings.HasPrefix(strings.ToLower(a.Name.Local), "on") || strings.Contains(a.Name.Local, "href") {
					t.Errorf("attribute %s=%q", a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			shown = append(shown, string(token))
		}
		if errors.Is(err, io.EOF) {
			return shown, elements
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, svg)
		}
	}
}

// named is a host on which one thing has a name.
func named(name string) plugin.Graph {
	h := graphtest.New()
	h.Container(name, h.Network(name, nil, "10.1.0.0/24"), "10.1.0.2/24")
	h.Publish(h.Endpoints[0].ID, "", "tcp", 80, 80, 80)
	return h.Graph
}

// shape is a picture without its texts: what a name must not change.
func shape(form, picture string) string {
	switch form {
	case "mmd":
		return regexp.MustCompile(`"[^"]*"`).ReplaceAllString(picture, "TEXT")
	case "dot":
		return regexp.MustCompile(`"(\\.|[^"\\])*"`).ReplaceAllString(picture, "TEXT")
	}
	picture = regexp.MustCompile(`<title>[^<]*</title>`).ReplaceAllString(picture, "")
	return regexp.MustCompile(`>[^<\n]+</text>`).ReplaceAllString(picture, ">TEXT</text>")
}

func fits(t testing.TB, name string) {
	t.Helper()
	for form := range forms() {
		picture := draw(t, form, named(name))
		if got, want := shape(form, picture), shape(form, draw(t, form, named("plain"))); got != want {
			t.Errorf("%s with the name %q is another picture:\n%s", form, name, picture)
		}
		if bad := strings.IndexFunc(picture, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); bad >= 0 {
			t.Errorf("%s with the name %q has %q", form, name, picture[bad:min(len(picture), bad+8)])
		}
	}
	texts(t, draw(t, "svg", named(name)))
}

// TestHostileNames: a name is text, and no more.
func TestHostileNames(t *testing.T) {
	for _, name := range graphtest.HostileNames() {
		fits(t, name)
	}
	shown, elements := texts(t, draw(t, "svg", graphtest.Hostile().Graph))
	if i := slices.IndexFunc(elements, func(e string) bool {
		return !slices.Contains([]string{"svg", "style", "rect", "path", "text", "title"}, e)
	}); i >= 0 {
		t.Errorf("the picture has an element %s", elements[i])
	}
	if !slices.Contains(shown, `</script><script>alert(1)</script>`) {
		t.Errorf("a name is not shown as it is: %q", shown)
	}
}

func FuzzNames(f *testing.F) {
	for _, name := range graphtest.HostileNames() {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name != "" { // then the id is shown
			fits(t, name)
		}
	})
}

// TestFits: texts end inside of their boxes, by what a character takes at most, and boxes
// do not overlap.
func TestFits(t *testing.T) {
	rect := regexp.MustCompile(`<svg x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)">\n<rect class="net"`)
	for _, g := range []plugin.Graph{graphtest.Many(50, 10).Graph, graphtest.Hostile().Graph, graphtest.Shop().Graph, odd()} {
		picture := draw(t, "svg", g)
		var boxes [][4]int
		for _, m := range rect.FindAllStringSubmatch(picture, -1) {
			var b [4]int
			for i := range b {
				b[i], _ = strconv.Atoi(m[i+1])
			}
			for _, o := range boxes {
				if b[0] < o[0]+o[2] && o[0] < b[0]+b[2] && b[1] < o[1]+o[3] && o[1] < b[1]+b[3] {
					t.Errorf("boxes %v and %v overlap", o, b)
				}
			}
			boxes = append(boxes, b)
		}
		if len(boxes) != len(g.Networks) {
			t.Errorf("%d boxes for %d networks", len(boxes), len(g.Networks))
		}
		for _, m := range regexp.MustCompile(`(?m)class="name">(?:<title>.*</title>)?([^<]*)</text>`).FindAllStringSubmatch(picture, -1) {
			if columns := len([]rune(html.UnescapeString(m[1]))); columns > 45 {
				t.Errorf("%q has %d characters", m[1], columns)
			}
		}
	}
}

// TestSameBytes: the order in which lists come together does not matter within a network.
func TestSameBytes(t *testing.T) {
	for form := range forms() {
		if first := draw(t, form, graphtest.Shop().Graph); first != draw(t, form, graphtest.Shop().Graph) {
			t.Errorf("%s differs from time to time", form)
		}
	}
	g := graphtest.Shop().Graph
	g.Endpoints[0].Addresses = []netip.Prefix{netip.MustParsePrefix("10.81.0.9/24")}
	if draw(t, "svg", g) == draw(t, "svg", graphtest.Shop().Graph) {
		t.Error("another address is the same picture")
	}
}
