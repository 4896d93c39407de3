package page

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/graph/graphtest"
)

// thickness is how thick the line of a container is.
func (tb *tab) thickness(container string) float64 {
	tb.t.Helper()
	return eval[float64](tb, fmt.Sprintf(`parseFloat(getComputedStyle(document.querySelector('[aria-label="container %s"] .branch')).strokeWidth)`, container))
}

// testLive: what happens is seen without anybody's doing.
func testLive(t *testing.T, browser context.Context) {
	d := newDaemon(graphtest.Shop())
	tb := open(t, browser, serve(t, d, ""), "/", look{})
	tb.ready(3)
	web := d.host.Endpoints[5].ID
	before := tb.thickness("web")

	d.change(func() { d.rates[web] = 20_000 })
	testkit.Eventually(t, "the line is thicker", func() bool { return tb.thickness("web") > before+1 })
	slow := tb.thickness("web")
	d.change(func() { d.rates[web] = 500_000_000 })
	testkit.Eventually(t, "the line is even thicker", func() bool { return tb.thickness("web") > slow+2 })
	if got := tb.thickness("mail"); got != before {
		t.Errorf("the line of another container is %v", got)
	}
	d.change(func() { d.rates[web] = 0 })
	testkit.Eventually(t, "it is thin again", func() bool { return tb.thickness("web") == before })

	var fresh string
	d.change(func() { fresh = d.host.Container("fresh", d.host.Networks[1].ID, "10.80.0.77/24") })
	tb.sees("the new container", `document.querySelector('[aria-label="container fresh"]').innerText.includes("10.80.0.77")`)
	d.change(func() { d.host.Publish(fresh, "", "udp", 5353, 5353, 53) })
	tb.sees("its port", `document.querySelector('[aria-label="container fresh"] .ports').innerText === "0.0.0.0:5353 → 53/udp"`)
	tb.tidy("with a new container")

	d.refuse(fresh, 22)
	tb.sees("the packet", `[...document.querySelectorAll("#log li")].some((e) => e.innerText.includes("198.51.100.7 → fresh (10.80.0.77:22) tcp") && e.innerText.includes("unpublished"))`)
	tb.sees("the number", `document.querySelector('[aria-label="container fresh"] .refused').innerText === "1 refused"`)
	d.refuse(fresh, 22)
	tb.sees("both as one", `document.querySelector("#log li").innerText.includes("×2") && document.querySelectorAll("#log li").length === 1`)
	d.event("repair", "bridge gw-5eed00020002: was down: set up", "")
	tb.sees("the repair", `document.querySelector("#log li").innerText.includes("was down: set up")`)
	tb.click("#log li:last-child .entry")
	tb.sees("whose packet it was", `document.querySelector("#details h2").innerText === "fresh"`)

	d.change(func() {
		d.host.Endpoints = slices.DeleteFunc(d.host.Endpoints, func(e plugin.GraphEndpoint) bool { return e.ID == fresh })
		d.host.Ports = slices.DeleteFunc(d.host.Ports, func(p plugin.Port) bool { return p.EndpointID == fresh })
	})
	tb.sees("it has gone, and its details", `!document.querySelector('[aria-label="container fresh"]') && document.querySelector("#details").hidden`)
	d.change(func() { d.err = errors.New("networks are being restored") })
	tb.sees("why nothing is new", `document.querySelector("#notice").innerText.includes("networks are being restored") && document.body.classList.contains("stale")`)
	d.change(func() { d.err = nil })
	tb.sees("all is well", `document.querySelector("#notice").hidden && document.querySelector("#state").innerText === "ok" && !document.body.classList.contains("stale")`)
}

// testHiddenTab: who does not look does not ask.
func testHiddenTab(t *testing.T, browser context.Context) {
	d := newDaemon(graphtest.Shop())
	tb := open(t, browser, serve(t, d, ""), "/", look{})
	tb.ready(3)
	testkit.Eventually(t, "packets are followed", func() bool { return d.followers() == 1 })
	hide := func(state string) {
		eval[bool](tb, fmt.Sprintf(`Object.defineProperty(document, "visibilityState", { value: %q, configurable: true }) && document.dispatchEvent(new Event("visibilitychange"))`, state))
	}
	hide("hidden")
	testkit.Eventually(t, "nobody asks", func() bool { return d.followers() == 0 })
	hide("visible")
	testkit.Eventually(t, "packets are followed again", func() bool { return d.followers() == 1 })
	d.change(func() { d.host.Network("later", nil, "10.9.0.0/24") })
	tb.ready(4)
}

// testKeyboard: all can be reached without a mouse.
func testKeyboard(t *testing.T, browser context.Context) {
	tb := open(t, browser, serve(t, newDaemon(graphtest.Shop()), ""), "/", look{})
	tb.ready(3)
	at := func(want string) {
		t.Helper()
		if got := tb.focused(); got != want {
			t.Errorf("the focus is on %q, want %q", got, want)
		}
	}
	tb.press("/")
	at("Filter by name, address or port")
	tb.press("d", "b")
	tb.sees("what was found", `document.querySelectorAll(".row").length === 1`)
	tb.press(down)
	at("network back")
	tb.press(down)
	at("container db")
	tb.press(enter)
	at("details-title")
	if got := tb.text("#details h2"); got != "db" {
		t.Errorf("details of %q", got)
	}
	tb.press(escape)
	at("container db")
	tb.sees("no details", `document.querySelector("#details").hidden`)
	tb.press(escape)
	tb.sees("no filter", `document.querySelector("#filter").value === "" && document.querySelectorAll(".row").length === 8`)
	tb.press(home)
	at("network back")
	tb.press(left)
	tb.sees("closed", `document.activeElement.getAttribute("aria-expanded") === "false" && document.querySelectorAll(".row").length === 5`)
	at("network back")
	tb.press(right)
	tb.sees("open", `document.querySelectorAll(".row").length === 8`)
	at("network back")
	tb.press(right, down, down, up)
	at("container cache")
	tb.press(left)
	at("network back")
	tb.press(end)
	if got := tb.focused(); !strings.HasPrefix(got, "container ") {
		t.Errorf("the last is %q", got)
	}
	tb.press(home, " ")
	tb.sees("closed", `document.querySelectorAll(".row").length === 5`)
	tb.press(" ", enter)
	at("details-title")
	if got := tb.text("#details h2"); got != "back" {
		t.Errorf("details of %q", got)
	}
	byTab(tb, at)
}

// byTab: from details to a link in them, and back to the filter.
func byTab(tb *tab, at func(string)) {
	tb.t.Helper()
	tb.press(tabKey, tabKey)
	tb.press(enter)
	tb.sees("a container", `document.querySelector("#details .over").innerText === "Container"`)
	tb.press("/")
	at("Filter by name, address or port")
	tb.press("x", "y", "z")
	tb.sees("nothing", `document.querySelectorAll(".card").length === 0`)
	tb.press(escape)
	tb.sees("all", `document.querySelectorAll(".card").length === 3`)
	if got := eval[int](tb, `document.querySelectorAll('[role=treeitem][tabindex="0"]').length`); got != 1 {
		tb.t.Errorf("Tab stops %d times in the map, want once", got)
	}
}

// testToken: without the token nothing is seen; with it the address keeps no trace of it.
func testToken(t *testing.T, browser context.Context) {
	const token = "0123456789abcdef-secret"
	base := serve(t, newDaemon(graphtest.Shop()), token)
	for _, path := range []string{"/", "/#token=wrong-wrong-wrong"} {
		tb := open(t, browser, base, path, look{})
		tb.sees("a form", `!document.querySelector("#login").hidden`)
		if got := tb.text("body"); strings.Contains(got, "web") {
			t.Errorf("without the token: %s", got)
		}
		tb.complaints("401") // the browser notes the answer
		tb.press(strings.Split(token, "")...)
		tb.press(enter)
		tb.ready(3)
		tb.sees("no form", `document.querySelector("#login").hidden && document.querySelector("#notice").hidden`)
	}
	tb := open(t, browser, base, "/#token="+token, look{})
	tb.ready(3)
	if got := eval[string](tb, "location.href"); got != base+"/" {
		t.Errorf("the address is %s", got)
	}
	eval[bool](tb, "location.reload() === undefined")
	tb.ready(3)
	tb.click(`[aria-label="container web"] .box`)
	tb.sees("ways", `document.querySelectorAll(".way").length === 5`)
	if got := eval[string](tb, "document.cookie"); got != "" {
		t.Errorf("cookies: %s", got)
	}
	for _, r := range tb.asked() {
		if u, _, _ := strings.Cut(r, "#"); strings.Contains(u, "token") || strings.Contains(u, "secret") {
			t.Errorf("the token is sent in %s", r)
		}
	}
}

// testPolicy: the browser refuses what the page must not do, whatever is in it; and these
// tests would notice.
func testPolicy(t *testing.T, browser context.Context) {
	tb := open(t, browser, serve(t, newDaemon(graphtest.Shop()), ""), "/", look{})
	tb.ready(3)
	for what, attempt := range map[string]string{
		"HTML from text":      `(() => { try { document.body.insertAdjacentHTML("beforeend", "<i>x</i>"); return "done"; } catch (e) { return e.name; } })()`,
		"a script from text":  `(() => { const s = document.createElement("script"); try { s.text = "window.evil = 1"; document.body.append(s); } catch (e) { return e.name; } return window.evil ? "done" : "refused"; })()`,
		"a handler from text": `(() => { const b = document.createElement("button"); try { b.setAttribute("onclick", "window.evil = 1"); } catch (e) { return e.name; } b.click(); return window.evil ? "done" : "refused"; })()`,
		"an inline style":     `(() => { const b = document.createElement("p"); document.body.append(b); b.setAttribute("style", "color: rgb(1, 2, 3)"); const c = getComputedStyle(b).color; b.remove(); return c === "rgb(1, 2, 3)" ? "done" : "refused"; })()`,
	} {
		if got := eval[string](tb, attempt); got == "done" {
			t.Errorf("%s is possible", what)
		}
	}
	eval[bool](tb, `fetch("http://198.51.100.1/").catch(() => { window.refused = 1; }) !== null`)
	tb.sees("a request elsewhere is refused", `window.refused === 1`)
	eval[bool](tb, `Object.assign(new Image(), { src: "http://198.51.100.1/x.png" }) !== null`)
	tb.complaints("198.51.100.1/x.png", "connect", "style")
}
