package page

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/plugin/graph/graphtest"
	"github.com/gangway-net/gangway/printable"
)

// geometry lists what is not where it should be: boxes that overlap, and texts that are
// not inside of their box or run into one another.
const geometry = `(() => {
  const wrong = [];
  const shown = (e) => e.getClientRects().length > 0;
  const rect = (e) => e.getBoundingClientRect();
  const over = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
  const inside = (a, b) => a.left >= b.left - 0.5 && a.right <= b.right + 0.5 && a.top >= b.top - 0.5 && a.bottom <= b.bottom + 0.5;
  const apart = (what, list) => {
    const rects = list.filter(shown).map((e) => [e, rect(e)]).filter(([, r]) => r.width > 0);
    rects.sort((a, b) => a[1].top - b[1].top);
    rects.forEach(([e, r], i) => {
      for (let j = i + 1; j < rects.length && rects[j][1].top < r.bottom; j++) {
        if (over(r, rects[j][1])) wrong.push(what + " overlap: " + e.innerText + " | " + rects[j][0].innerText);
      }
    });
  };
  const all = (selector, of = document) => [...of.querySelectorAll(selector)];
  apart("networks", all(".card"));
  apart("containers", all(".box"));
  apart("regions", all("#map, #details, #activity, header, footer").filter((e) => getComputedStyle(e).position !== "fixed"));
  for (const box of [...all(".box"), ...all(".head"), ...all("header")].filter(shown)) {
    const texts = all(".name, .rate, .addresses span, .port, .counts, .kinds .kind, .refused, .head .mono, h1, #state, #summary, .search", box).filter((e) => shown(e) && e.innerText !== "");
    apart("texts", texts);
    for (const e of texts) if (!inside(rect(e), rect(box))) wrong.push("outside of its box: " + e.innerText);
  }
  for (const box of all(".card")) for (const e of all(".box, .strip i", box).filter(shown)) if (!inside(rect(e), rect(box))) wrong.push("outside of its network: " + e.innerText);
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("the page is wider than the window: " + document.documentElement.scrollWidth);
  return wrong;
})()`

// tidy fails for what is not where it should be.
func (tb *tab) tidy(when string) {
	tb.t.Helper()
	if wrong := eval[[]string](tb, geometry); len(wrong) > 0 {
		tb.t.Errorf("%s: %d things are not in their place:\n%s", when, len(wrong), strings.Join(wrong[:min(10, len(wrong))], "\n"))
	}
}

// ready waits until the page shows so many networks.
func (tb *tab) ready(networks int) {
	tb.t.Helper()
	tb.sees(fmt.Sprintf("%d networks", networks), fmt.Sprintf(`document.querySelectorAll(".card").length === %d && document.querySelector("#state").dataset.state !== "starting"`, networks))
}

// testShown: the names, addresses and ports are seen, and where they belong.
func testShown(t *testing.T, browser context.Context) {
	base := serve(t, busyShop(), "")
	for _, l := range []look{{1280, 800, false}, {1920, 1080, true}, {390, 844, false}} {
		name := fmt.Sprintf("%dx%d", l.width, l.height)
		tb := open(t, browser, base, "/", l)
		tb.ready(3)
		tb.sees("traffic", `document.querySelectorAll(".wire .live").length > 10`)
		tb.tidy(name)
		front := eval[string](tb, `document.querySelector('[aria-label="network front"]').innerText`)
		for _, word := range []string{"front", "nat", "10.80.0.0/24", "3 containers · 3 ports", "web", "10.80.0.2", "fd00:80::2", "*:8000 → 80/tcp", "*:443 → 8443/tcp", "192.0.2.1:9000 → 9000/tcp", "MB/s"} {
			if !strings.Contains(front, word) {
				t.Errorf("%s: no %q in the box:\n%s", name, word, front)
			}
		}
		if strings.Contains(front, "db") {
			t.Errorf("%s: a container of another network:\n%s", name, front)
		}
		if got := tb.text("#summary"); !strings.HasPrefix(got, "3 networks · 7 containers · 5 published ports · ") {
			t.Errorf("%s: %s", name, got)
		}
		tb.click(`[aria-label="container web"] .box`)
		tb.sees("what the desired state says", `document.querySelectorAll(".way").length === 5`)
		tb.tidy(name + " with details")
		for _, word := range []string{"web", "02:42:", "eth0", "front", "refused", "gangway doctor", "from outside", "closed"} {
			if got := tb.text("#details"); !strings.Contains(got, word) {
				t.Errorf("%s: no %q in the details:\n%s", name, word, got)
			}
		}
	}
}

// testPort: a click on a port tells where it leads, and who reaches it.
func testPort(t *testing.T, browser context.Context) {
	tb := open(t, browser, serve(t, busyShop(), ""), "/", look{})
	tb.ready(3)
	tb.click(`[aria-label="container web"] .port:last-child`)
	tb.sees("what the desired state says", `document.querySelectorAll(".way").length === 5`)
	for _, word := range []string{"Published port", "0.0.0.0:8000/tcp", "10.80.0.2:80", "by the kernel (nat)"} {
		if got := tb.text("#details"); !strings.Contains(got, word) {
			t.Errorf("no %q in the details:\n%s", word, got)
		}
	}
	tb.click(".way summary")
	tb.sees("steps", `document.querySelector(".way[open]").innerText.includes("a port that web on network front publishes")`)
	tb.click(".links .link, dl .link")
	tb.sees("the container", `document.querySelector("#details h2").innerText === "web"`)
	tb.click(`[aria-label="container api"] .box`)
	tb.sees("its other network", `document.querySelectorAll(".twin").length === 1`)
}

// testSchemes: light is light, dark is dark, and all can be read (WCAG 2.1, 1.4.3).
func testSchemes(t *testing.T, browser context.Context) {
	d := busyShop()
	d.event("repair", "rules: put back", d.host.Endpoints[5].ID)
	d.event("settled", "over", "")
	d.refuse(d.host.Endpoints[5].ID, 22)
	base := serve(t, d, "")
	const contrast = `(() => {
  const parse = (c) => c.match(/[\d.]+/g).map(Number);
  const light = (c) => parse(c).slice(0, 3).map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if ((parse(c)[3] ?? 1) > 0) return c; } return "rgb(255,255,255)"; };
  const wrong = [];
  for (const e of document.querySelectorAll("body *")) {
    if (!e.getClientRects().length || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) wrong.push(e.className + " " + e.innerText + " " + ((a + 0.05) / (b + 0.05)).toFixed(1));
  }
  return wrong;
})()`
	for _, dark := range []bool{false, true} {
		tb := open(t, browser, base, "/", look{1280, 800, dark})
		tb.ready(3)
		tb.click(`[aria-label="container web"] .box`)
		tb.sees("all parts", `document.querySelectorAll(".way").length === 5 && document.querySelectorAll("#log li").length >= 3 && document.querySelectorAll(".refused:not([hidden])").length > 1`)
		if wrong := eval[[]string](tb, contrast); len(wrong) > 0 {
			t.Errorf("dark %t: hard to read:\n%s", dark, strings.Join(wrong, "\n"))
		}
		if got := eval[int](tb, `Number(getComputedStyle(document.body).backgroundColor.match(/\d+/)[0])`); (got < 100) != dark {
			t.Errorf("dark %t: the page is of %d", dark, got)
		}
	}
}

// testMany: 50 networks with 500 containers are seen at a glance, found, and opened.
func testMany(t *testing.T, browser context.Context) {
	d := manyBusy()
	tb := open(t, browser, serve(t, d, ""), "/", look{})
	tb.ready(50)
	tb.sees("traffic", `document.querySelectorAll(".level4").length > 50`)
	tb.tidy("all closed")
	if got := eval[[]int](tb, `[document.querySelectorAll(".strip i").length, document.querySelectorAll(".row").length]`); !slices.Equal(got, []int{500, 0}) {
		t.Errorf("squares and rows: %v", got)
	}
	tb.click(`[aria-label="network team-07_default"] .chevron`)
	tb.sees("ten rows", `document.querySelectorAll(".row").length === 10`)
	tb.tidy("one open")
	tb.typeInto("#filter", "service-03 team-1")
	tb.sees("ten matches", `document.querySelectorAll(".card").length === 10 && document.querySelectorAll(".row").length === 10`)
	tb.tidy("filtered")
	tb.typeInto("#filter", "10.100.42.5")
	tb.sees("one match", `[...document.querySelectorAll(".row .name")].map((e) => e.innerText).join() === "team-42-service-03-1"`)
	tb.typeInto("#filter", "nothing such")
	tb.sees("nothing", `document.querySelector(".empty").innerText === "Nothing here has these words."`)
	tb.typeInto("#filter", "")
	tb.sees("all again", `document.querySelectorAll(".card").length === 50 && !document.querySelector(".empty")`)
	// All open: the most that there can be.
	eval[bool](tb, `document.querySelectorAll(".card:not(.open) .chevron").forEach((c) => c.click()) === undefined`)
	tb.sees("500 rows", `document.querySelectorAll(".row").length === 500`)
	tb.sees("lines of all", `document.querySelectorAll(".branch.live").length > 300`)
	tb.tidy("all open")
}

// testHostileNames: names are text, whole and in one line, and do nothing.
func testHostileNames(t *testing.T, browser context.Context) {
	d := newDaemon(graphtest.Hostile())
	for _, e := range d.host.Endpoints {
		d.rates[e.ID] = 10_000
		d.event("lost", "container "+e.ContainerName+" of "+e.NetworkName, e.ID)
		d.refuse(e.ID, 1)
	}
	d.change(func() {
		for _, name := range graphtest.HostileNames() {
			d.host.Status.Causes = append(d.host.Status.Causes, cause.Of(cause.Unmet, name))
		}
	})
	tb := open(t, browser, serve(t, d, ""), "/", look{})
	tb.ready(len(d.host.Networks))
	tb.sees("drops and events", fmt.Sprintf(`document.querySelectorAll("#log li").length === %d`, 2*len(d.host.Endpoints)))
	tb.tidy("hostile names")
	// Innocent is the same page with other names: it has the same elements.
	const elements = `(() => { const n = {}; for (const e of document.querySelectorAll("*")) n[e.tagName] = (n[e.tagName] || 0) + 1; return n; })()`
	got := eval[map[string]int](tb, elements)
	for _, tag := range []string{"IMG", "IFRAME", "OBJECT", "A", "B"} {
		if got[tag] != 0 {
			t.Errorf("the page has %d elements %s", got[tag], tag)
		}
	}
	if got["SCRIPT"] != 1 || got["STYLE"] != 1 {
		t.Errorf("scripts and styles: %v", got)
	}
	shown := eval[[]string](tb, `[...document.querySelectorAll(".card .name bdi")].map((e) => e.textContent)`)
	for _, name := range graphtest.HostileNames() {
		// What is no UTF-8 comes as U+FFFD in JSON.
		want := printable.Word(strings.ToValidUTF8(name, "\ufffd\ufffd"))
		if n := count2(shown, want); n != 2 { // of a network and of a container
			t.Errorf("%q is there %d times, want 2, in %q", want, n, shown)
		}
	}
	eval[bool](tb, `document.querySelectorAll(".head").forEach((c) => c.click()) === undefined`)
	tb.sees("details", `document.querySelector("#details h2").innerText.length > 0`)
	tb.tidy("details of hostile names")
	if unfit := eval[[]string](tb, `[...new Set([...document.documentElement.outerHTML].filter((c) => /[\p{Cc}\p{Cf}]/u.test(c) && c !== "\n"))]`); len(unfit) > 0 {
		t.Errorf("the page has %q", unfit)
	}
}

func count2(list []string, of string) (n int) {
	for _, s := range list {
		if s == of {
			n++
		}
	}
	return n
}

// testEmpty: a host without networks says what to do, and one that is starting says so.
func testEmpty(t *testing.T, browser context.Context) {
	d := newDaemon(graphtest.New())
	tb := open(t, browser, serve(t, d, ""), "/", look{})
	tb.sees("what to do", `document.querySelector(".empty")?.innerText.includes("docker network create")`)
	tb.sees("quiet", `document.querySelector("#log").innerText === "Nothing was refused or repaired."`)
	d.change(func() { d.host.Network("first", nil, "10.1.0.0/24") })
	tb.ready(1)
	tb.sees("no advice", `!document.querySelector(".empty")`)
	d.change(func() {
		d.host.Status.State, d.host.Status.Causes = cause.Problem, []cause.Cause{cause.Of(cause.CheckFailed, "bridge is gone")}
		d.host.Status.Networks++
	})
	tb.sees("the problem", `document.querySelector("#state").innerText === "problem" && document.querySelector("#notice").innerText.includes("bridge is gone")`)
}
