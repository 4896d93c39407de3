// Package page looks at the page in Debian's Chromium: what is seen, what keys do, and that
// no name is more than text. It holds tests only.
package page

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/gangway-net/gangway/integration/nstest"
	"github.com/gangway-net/gangway/integration/testkit"
)

func TestMain(m *testing.M) { nstest.Main(m) }

// patience is how long a browser on a busy machine may take, and pause is between two
// looks: each costs the browser time.
const (
	patience = 2 * testkit.Patience
	pause    = 25 * time.Millisecond
)

// tab is a page of the browser, with all that it has complained of and asked for.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string

	mu       sync.Mutex
	bad      []string
	requests []string
}

// look is how a page is looked at.
type look struct {
	width, height int64
	dark          bool
}

// TestPage looks at pages in one browser, each with a profile of its own.
func TestPage(t *testing.T) {
	browser := start(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T, context.Context)
	}{
		{"Shown", testShown},
		{"Port", testPort},
		{"Schemes", testSchemes},
		{"Many", testMany},
		{"HostileNames", testHostileNames},
		{"Empty", testEmpty},
		{"Live", testLive},
		{"HiddenTab", testHiddenTab},
		{"Keyboard", testKeyboard},
		{"Token", testToken},
		{"Policy", testPolicy},
		{"Policies", testPolicies},
		{"Shots", testShots},
		{"Daemon", testDaemon},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, browser) })
	}
}

// start has a browser of the test's own; its profile goes with the test.
func start(t *testing.T) context.Context {
	t.Helper()
	testkit.Need(t, "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("font-render-hinting", "none"))
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(allocated)
	t.Cleanup(end)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start chromium: %v", err)
	}
	return ctx
}

// open opens a page, and checks at the test's end that the browser had nothing to complain
// of, and that the page asked nobody but who served it.
func open(t *testing.T, browser context.Context, base, path string, l look) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	ctx, stop := context.WithTimeout(ctx, 10*patience)
	tb := &tab{t: t, ctx: ctx, base: base}
	if err := chromedp.Listen(ctx, tb.listen); err != nil {
		t.Fatalf("open a page: %v", err)
	}
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	if l.width == 0 {
		l.width, l.height = 1280, 800
	}
	call(tb, log.Enable, cdp.Empty{})
	call(tb, network.Enable, network.EnableParams{})
	call(tb, runtime.Enable, cdp.Empty{})
	call(tb, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1})
	call(tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
	tb.do(chromedp.Navigate(base + path))
	t.Cleanup(func() {
		tb.quiet()
		stop()
		end()
	})
	return tb
}

func (tb *tab) listen(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		tb.bad = append(tb.bad, fmt.Sprintf("exception: %s %+v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		for _, a := range e.Args {
			tb.bad = append(tb.bad, fmt.Sprintf("console %s: %s", e.Type, a.Value))
		}
	case *log.EventEntryAdded:
		tb.bad = append(tb.bad, fmt.Sprintf("%s %s: %s", e.Entry.Source, e.Entry.Level, e.Entry.Text))
	case *network.EventRequestWillBeSent:
		tb.requests = append(tb.requests, e.Request.URL)
	}
}

// quiet fails for complaints, and for requests to others.
func (tb *tab) quiet() {
	tb.t.Helper()
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, b := range tb.bad {
		tb.t.Errorf("the browser complains: %s", b)
	}
	for _, r := range tb.requests {
		if !strings.HasPrefix(r, tb.base) && !strings.HasPrefix(r, "data:") {
			tb.t.Errorf("the page asks %s", r)
		}
	}
	if len(tb.requests) == 0 {
		tb.t.Error("no request was seen")
	}
}

func (tb *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	if err := chromedp.Do(tb.ctx, actions...); err != nil {
		tb.t.Fatal(err)
	}
}

// call sends a command of the protocol.
func call[P, R any](tb *tab, c cdp.Command[P, R], params P) {
	tb.t.Helper()
	if _, err := chromedp.Run(tb.ctx, func(ctx context.Context, target *chromedp.Target) (R, error) { return cdp.Call(ctx, target, c, params) }); err != nil {
		tb.t.Fatalf("%s: %v", c.Method, err)
	}
}

// eval returns what an expression is in the page.
func eval[T any](tb *tab, expression string) T {
	tb.t.Helper()
	value, err := chromedp.Run(tb.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		tb.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// sees waits until an expression is true in the page.
func (tb *tab) sees(what, expression string) {
	tb.t.Helper()
	defer func() {
		if tb.t.Failed() {
			tb.t.Logf("the page has:\n%s", tb.text("body"))
		}
	}()
	for deadline := time.Now().Add(patience); !eval[bool](tb, "(() => { try { return Boolean("+expression+"); } catch { return false; } })()"); time.Sleep(pause) {
		if time.Now().After(deadline) {
			tb.t.Fatalf("never happens: %s", what)
		}
	}
}

// text is what is shown of an element.
func (tb *tab) text(selector string) string {
	tb.t.Helper()
	return eval[string](tb, fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, selector))
}

// press presses keys where the focus is, as a keyboard does: a character comes of a key
// that nobody has taken. The library's own sends both.
func (tb *tab) press(keys ...string) {
	tb.t.Helper()
	for _, r := range strings.Join(keys, "") {
		down := *kb.Encode(r)[0]
		up := down
		down.Type, up.Type = input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp
		if all := kb.Encode(r); len(all) == 3 {
			down.Type, down.Text = input.DispatchKeyEventTypeKeyDown, all[1].Text
		}
		call(tb, input.DispatchKeyEvent, down)
		call(tb, input.DispatchKeyEvent, up)
	}
}

// click clicks an element where it is seen.
func (tb *tab) click(selector string) {
	tb.t.Helper()
	tb.do(chromedp.Click(chromedp.CSS(selector)))
}

// typeInto puts text into a field, in the place of what is there.
func (tb *tab) typeInto(selector, text string) {
	tb.t.Helper()
	eval[bool](tb, fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.value = %q; e.dispatchEvent(new Event("input", { bubbles: true })); return true; })()`, selector, text))
}

// complaints waits for complaints with these words, and takes back what was complained of
// and asked.
func (tb *tab) complaints(words ...string) {
	tb.t.Helper()
	for _, w := range words {
		testkit.Eventually(tb.t, "the browser complains of "+w, func() bool {
			tb.mu.Lock()
			defer tb.mu.Unlock()
			return slices.ContainsFunc(tb.bad, func(b string) bool { return strings.Contains(b, w) })
		})
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.bad = nil
	tb.requests = slices.DeleteFunc(tb.requests, func(r string) bool { return !strings.HasPrefix(r, tb.base) })
}

// asked are all requests so far.
func (tb *tab) asked() []string {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	return slices.Clone(tb.requests)
}

// keys that have names.
const (
	up, down, left, right, home, end = kb.ArrowUp, kb.ArrowDown, kb.ArrowLeft, kb.ArrowRight, kb.Home, kb.End
	enter, escape, tabKey            = kb.Enter, kb.Escape, kb.Tab
)

// focused names what has the focus, as it is read out.
func (tb *tab) focused() string {
	tb.t.Helper()
	return eval[string](tb, `document.activeElement.getAttribute("aria-label") || document.activeElement.id || document.activeElement.tagName`)
}

// shot is a picture of what is seen.
func (tb *tab) shot() []byte {
	tb.t.Helper()
	png, err := chromedp.Run(tb.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tb.t.Fatal(err)
	}
	return png
}
