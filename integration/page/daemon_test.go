package page

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gangway-net/gangway/integration/lone"
	"github.com/gangway-net/gangway/integration/testkit"
)

// testDaemon: the daemon's own page, beside its metrics, has what real packets do.
func testDaemon(t *testing.T, browser context.Context) {
	const (
		netA = "aaaa0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
		netB = "bbbb0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
		ep1  = "11110123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
		ep2  = "22220123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"
	)
	d := lone.Start(t)
	poolA, gatewayA := d.Network(netA, "10.71.0.0/24")
	poolB, gatewayB := d.Network(netB, "10.72.0.0/24")
	tb := open(t, browser, "http://"+lone.Address, "/", look{})
	tb.ready(2)
	first := d.Container(netA, ep1, poolA, gatewayA, 8071)
	second := d.Container(netB, ep2, poolB, gatewayB, 8072)
	for container, words := range map[string][2]string{ep1[:12]: {lone.Plain(first.Address), "*:8071 → 80/tcp"}, ep2[:12]: {lone.Plain(second.Address), "*:8072 → 80/tcp"}} {
		for _, word := range words {
			tb.sees(word, fmt.Sprintf(`document.querySelector('[aria-label="container %s"]').innerText.includes(%q)`, container, word))
		}
	}
	tb.tidy("the daemon's own page")
	before := tb.thickness(ep2[:12])
	pid, err := strconv.Atoi(strings.TrimSpace(first.Sh("ping -q -i 0.002 -s 1400 " + lone.Plain(gatewayA) + " >/dev/null 2>&1 & echo $!")))
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the line is thicker", func() bool { return tb.thickness(ep1[:12]) > before+1 })
	if err = syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	first.Sh("ping -q -c 5 -i 0.05 -W 1 " + lone.Plain(second.Address) + " || :")
	tb.sees("the packets", fmt.Sprintf(`[...document.querySelectorAll("#log li")].some((e) => e.innerText.includes("isolated") && e.innerText.includes("%s (%s) → %s (%s) icmp"))`,
		ep1[:12], lone.Plain(first.Address), ep2[:12], lone.Plain(second.Address)))
	tb.sees("their number", fmt.Sprintf(`document.querySelector('[aria-label="network %s"] .head .refused').innerText === "5 refused"`, netB[:12]))
	lone.Sh(t, "ip link set gw-"+netA[:12]+" down")
	tb.sees("the repair", `[...document.querySelectorAll("#log li")].some((e) => e.innerText.includes("repair") && e.innerText.includes("down"))`)
	tb.click(fmt.Sprintf(`[aria-label="container %s"] .port`, ep1[:12]))
	tb.sees("ways", `document.querySelectorAll(".way").length === 3 && document.querySelector("#ways").innerText.includes("from outside")`)
}
