package page

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/gangway-net/gangway/integration/golden"
	"github.com/gangway-net/gangway/plugin/graph/graphtest"
)

// busyShop is the host of the pictures in the documentation.
func busyShop() *daemon {
	d := newDaemon(graphtest.Shop())
	for i, rate := range []uint64{48_000, 210_000, 1_400_000, 5_200_000, 0, 26_000_000, 12_000, 90_000} {
		d.rates[d.host.Endpoints[i].ID] = rate
	}
	return d
}

// testShots: the pictures of the documentation can be made, and with -update they are.
func testShots(t *testing.T, browser context.Context) {
	d := busyShop()
	web, db := d.host.Endpoints[5].ID, d.host.Endpoints[2].ID
	d.event("repair", "bridge gw-5eed00020002: was down: set up", "")
	d.event("repair", "rules: 2 elements were missing: put back (container web, network front)", web)
	base := serve(t, d, "")
	for i, l := range []look{{1280, 720, false}, {1280, 720, true}} {
		tb := open(t, browser, base, "/", l)
		for range 3 {
			d.refuse(web, 22)
		}
		d.refuse(db, 5432)
		tb.sees("traffic", `document.querySelectorAll(".wire .live").length > 10`)
		tb.sees("drops", `document.querySelectorAll("#log .bad").length >= 2`)
		tb.sees("the bar", `document.querySelector("#state").dataset.state === "ok"`)
		tb.click(`[aria-label="container web"] .box`)
		tb.sees("ways", `document.querySelectorAll(".way").length > 3`)
		save(t, []string{"page-light", "page-dark"}[i], tb.shot())
	}
	tb := open(t, browser, serve(t, manyBusy(), ""), "/", look{1280, 720, false})
	tb.sees("all networks", `document.querySelectorAll(".card").length === 50`)
	tb.sees("traffic", `document.querySelectorAll(".strip .level2").length > 10`)
	save(t, "page-many", tb.shot())
}

func manyBusy() *daemon {
	d := newDaemon(graphtest.Many(50, 10))
	for i, e := range d.host.Endpoints {
		if i%3 != 0 {
			d.rates[e.ID] = uint64(i*i) * 400
		}
	}
	return d
}

// save writes a picture with -update. Fonts differ from machine to machine: what is seen is
// compared elsewhere.
func save(t *testing.T, name string, png []byte) {
	t.Helper()
	if len(png) < 5_000 || len(png) > 150_000 {
		t.Errorf("%s has %d bytes, want less than 150 kB", name, len(png))
	}
	dir := os.Getenv("GANGWAY_SHOTS")
	if golden.Updating() {
		dir = "../../docs"
	}
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
