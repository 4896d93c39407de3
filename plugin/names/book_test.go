package names

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

const (
	front = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0"
	back  = "hvs2zzjqhhqxlgkqnkzzzzzzz"
	ep1   = "aaaa1111bbbb2222cccc3333dddd4444eeee5555ffff6666000077778888999a"
	ep2   = "bbbb1111bbbb2222cccc3333dddd4444eeee5555ffff6666000077778888999b"
	web   = "1111111111112222222222223333333333334444444444445555555555556666"
	db    = "2222222222222222222222223333333333334444444444445555555555556666"
)

// known is a book of one engine with two networks and two containers.
func known() (*Book, *Source) {
	b := New()
	s := b.Source()
	s.SetNetworks([]Network{{front, "front"}, {back, "back"}})
	s.SetContainers([]Place{{ep1, front, Container{web, "shop-web-1"}}, {ep2, back, Container{db, "shop-db-1"}}})
	return b, s
}

func TestText(t *testing.T) {
	b, s := known()
	s.SetContainers([]Place{{ep1, front, Container{web, "shop-web-1"}}, {ep2, "unknownnetwork", Container{db, "a\x1b[2J\nb"}}})
	for text, want := range map[string]string{
		"reserve tcp 0.0.0.0:8080: in use by endpoint aaaa1111bbbb; stop it":                  "reserve tcp 0.0.0.0:8080: in use by container shop-web-1 (network front); stop it",
		"3 packets dropped: 3 spoofed (network 0f1e2d3c4b5a, endpoint aaaa1111bbbb)":          "3 packets dropped: 3 spoofed (network front, container shop-web-1)",
		"endpoint aaaa1111bbbb is unknown on network 0f1e2d3c4b5a":                            "container shop-web-1 is unknown on network front",
		"network hvs2zzjqhhqx and endpoint aaaa1111bbbb":                                      "network back and container shop-web-1 (network front)",
		"held by endpoint bbbb1111bbbb":                                                       `held by container a\x1b[2J\nb`,
		"endpoint 000000000000 on network 000000000000, gv-aaaa1111bbbb, aaaa1111bbbb, net 1": "endpoint 000000000000 on network 000000000000, gv-aaaa1111bbbb, aaaa1111bbbb, net 1",
		"subnetwork 0f1e2d3c4b5a, network 0f1e2d3c4b5a6, network connectivity":                "subnetwork 0f1e2d3c4b5a, network 0f1e2d3c4b5a6, network connectivity",
	} {
		if got := b.Text(text); got != want {
			t.Errorf("%q\nis   %q\nwant %q", text, got, want)
		}
	}
}

func TestAbout(t *testing.T) {
	b, _ := known()
	for text, want := range map[string]string{
		"bridge gw-0f1e2d3c4b5a: was down: set up":                     "front ",
		"link gv-aaaa1111bbbb on gw-hvs2zzjqhhqx":                      "back shop-web-1",
		"link gp-bbbb1111bbbb: gone":                                   "back shop-db-1",
		"3 spoofed (network 0f1e2d3c4b5a, endpoint bbbb1111bbbb)":      "front shop-db-1",
		"gw-000000000000, then network hvs2zzjqhhqx":                   "back ",
		"rules were not as they should be, gw-0f1e2d3c4b5a6, agw-0f1e": " ",
	} {
		n, p := b.About(text)
		if got := n.Name + " " + p.Container.Name; got != want {
			t.Errorf("%q is about %q, want %q", text, got, want)
		}
	}
}

// TestUnknown: what nobody has named is no error, and nor is a book that is not there.
func TestUnknown(t *testing.T) {
	for name, b := range map[string]*Book{"none": nil, "empty": New()} {
		if n, c := b.Network(front), b.Container(ep1); n != "" || c != (Container{}) {
			t.Errorf("%s: %q, %+v", name, n, c)
		}
		if n, p := b.About("endpoint aaaa1111bbbb, network 0f1e2d3c4b5a"); n != (Network{}) || p != (Place{}) {
			t.Errorf("%s: %+v, %+v", name, n, p)
		}
		if got := b.Text("endpoint aaaa1111bbbb"); got != "endpoint aaaa1111bbbb" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestLife: a rename, a container that is made anew with the same name, and one that
// ends, which only texts remember.
func TestLife(t *testing.T) {
	b, s := known()
	s.Update([]string{web}, []Place{{ep1, front, Container{web, "shop"}}})
	if c := b.Container(ep1); c.Name != "shop" || c.ID != web {
		t.Errorf("renamed: %+v", c)
	}
	other := strings.Repeat("9", 64)
	s.Update([]string{db, other}, []Place{{other, back, Container{other, "shop-db-1"}}})
	if c := b.Container(other); c.Name != "shop-db-1" || c.ID != other {
		t.Errorf("made anew: %+v", c)
	}
	if c := b.Container(ep2); c != (Container{}) {
		t.Errorf("ended: %+v", c)
	}
	if got := b.Text("endpoint bbbb1111bbbb: removed"); got != "container shop-db-1 (network back): removed" {
		t.Errorf("ended: %s", got)
	}
	if b.Container(ep1).Name != "shop" {
		t.Error("a container that nobody asked about is forgotten")
	}
	s.SetNetworks([]Network{{front, "front"}})
	if got := b.Network(back) + b.Text("network hvs2zzjqhhqx"); got != "network back" {
		t.Errorf("a network that is gone: %s", got)
	}
	// An id is its whole text, not its beginning.
	if n, c := b.Network(front[:12]), b.Container(ep1[:12]); n != "" || c != (Container{}) {
		t.Errorf("short ids: %q, %+v", n, c)
	}
}

// TestEngines: two engines may have the same names, and each forgets its own alone.
func TestEngines(t *testing.T) {
	b, one := known()
	two := b.Source()
	const ep3, net3 = "cccc1111bbbb2222", "dddd1111bbbb2222"
	two.SetNetworks([]Network{{net3, "front"}})
	two.SetContainers([]Place{{ep3, net3, Container{"c3", "shop-web-1"}}})
	if b.Container(ep3).ID != "c3" || b.Container(ep1).ID != web || b.Network(net3) != "front" {
		t.Error("two engines with the same names")
	}
	one.Forget()
	if b.Container(ep1) != (Container{}) || b.Network(front) != "" || b.Text("endpoint aaaa1111bbbb") != "endpoint aaaa1111bbbb" {
		t.Error("what an engine has said is known without it")
	}
	if b.Container(ep3).Name != "shop-web-1" || b.Network(net3) != "front" {
		t.Error("another engine's names are gone")
	}
}

// TestBounds: the book does not grow with what an engine answers, or with time.
func TestBounds(t *testing.T) {
	b := New()
	s := b.Source()
	long := strings.Repeat("x", maxName+1)
	s.SetNetworks([]Network{{front, long}, {long, "n"}, {"", "n"}, {back, ""}})
	s.SetContainers([]Place{{ep1, front, Container{web, long}}, {ep2, back, Container{long, "db"}}, {"e3", long, Container{db, "db"}}})
	if len(s.networks)+len(s.places) > 0 {
		t.Errorf("kept: %v, %v", s.networks, s.places)
	}
	var networks []Network
	var places []Place
	for i := range maxKept + 10 {
		id := fmt.Sprintf("%012d", i)
		networks = append(networks, Network{id, "n"})
		places = append(places, Place{id, id, Container{id, "c"}})
	}
	s.SetNetworks(networks)
	s.SetContainers(places)
	if len(s.networks) != maxKept || len(s.places) != maxKept {
		t.Errorf("%d networks, %d places", len(s.networks), len(s.places))
	}
	s.SetNetworks(nil)
	s.SetContainers(nil)
	for _, n := range []int{len(s.gone.networks.of), len(s.gone.places.of), len(s.gone.networks.order), len(s.gone.places.order)} {
		if n != maxGone {
			t.Errorf("%d of what is gone is remembered", n)
		}
	}
}

// TestHook: lines of the log have names, and no name ends a line.
func TestHook(t *testing.T) {
	b, s := known()
	s.Update([]string{web}, []Place{{ep1, front, Container{web, "a\nb"}}})
	var out bytes.Buffer
	log := logrus.New()
	log.SetOutput(&out)
	log.SetFormatter(&logrus.TextFormatter{DisableColors: true, DisableTimestamp: true})
	log.AddHook(Hook{b})
	entry := log.WithFields(logrus.Fields{"net": front[:12], "ep": ep1[:12]})
	entry.WithError(errors.New("in use by endpoint bbbb1111bbbb")).Warn("endpoint aaaa1111bbbb: removed")
	entry.Info("done")
	log.WithField("net", "000000000000").Info("done")
	const fields = `container="a\nb" ep=aaaa1111bbbb`
	want := `level=warning msg="container a\\nb (network front): removed" ` + `container="a\nb" ep=aaaa1111bbbb error="in use by container shop-db-1 (network back)" net=0f1e2d3c4b5a network=front` + "\n" +
		`level=info msg=done ` + fields + ` net=0f1e2d3c4b5a network=front` + "\n" + `level=info msg=done net=000000000000` + "\n"
	if out.String() != want {
		t.Errorf("the log says\n%s\nwant\n%s", out.String(), want)
	}
}
