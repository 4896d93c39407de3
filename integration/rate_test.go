package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// testRate: a network's rate and that of one container hold in both directions, are changed
// while the container runs, and come back when somebody takes them away; they outlive the
// daemon, and go with the container. Exact numbers are measured in package link.
func testRate(t *testing.T, e *harness.Engine) {
	const source = "192.0.2.2:9100"
	e.LAN.Outside.Serve(t, "source", source)
	e.Network(t, "n1", "--subnet", "10.75.0.0/24", "-o", "gangway.rate.in=30mbit", "-o", "gangway.rate.out=20mbit/64kb")
	e.Sleep(t, harness.Container{Name: "c1", Network: "n1"})
	e.Sleep(t, harness.Container{Name: "free", Network: "name=n1,driver-opt=gangway.rate.in=none,driver-opt=gangway.rate.out=none"})
	measure := func(container, direction string) float64 {
		t.Helper()
		bits, err := strconv.ParseFloat(strings.TrimSpace(e.Exec(t, container, "probe", "rate", "-for", "2s", direction, source)), 64)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s %s: %.1f mbit", container, direction, bits/1e6)
		return bits / 1e6
	}
	keeps := func(direction string, rate float64) {
		t.Helper()
		if got := measure("c1", direction); got > 1.1*rate || got < 0.5*rate {
			t.Errorf("%s: %.1f mbit of payload, want no more than %.0f, and not much less", direction, got, rate)
		}
	}
	for _, direction := range []string{"in", "out"} {
		if got := measure("free", direction); got < 60 {
			t.Errorf("without a rate %.1f mbit pass %s", got, direction)
		}
	}
	keeps("in", 30)
	keeps("out", 20)

	e.Gangway(t, "rate", "c1", "--in", "10mbit", "--out", "40mbit")
	keeps("in", 10)
	keeps("out", 40)
	if got := e.Gangway(t, "rate", "c1", "--format", "{{.In}} {{.Out}}"); strings.TrimSpace(got) != "10mbit 40mbit" {
		t.Errorf("gangway rate says %s", got)
	}
	if _, err := e.TryGangway("rate", "c1", "--in", "10mb"); err == nil || !strings.Contains(err.Error(), "is no rate") {
		t.Errorf("10mb: %v", err)
	}

	ratesHeal(t, e, "c1")
	keeps("in", 10)
	e.Gangway(t, "rate", "c1", "--out", "default")
	keeps("out", 20)
	e.Docker(t, "rm", "-f", "c1")
	if left, _ := e.Try("sh", "-c", "ip -o link | grep gi-"); left != "" {
		t.Errorf("left behind: %s", left)
	}
}

// ratesHeal has what holds a container's rates taken away in several ways.
func ratesHeal(t *testing.T, e *harness.Engine, container string) {
	t.Helper()
	host := portOf(t, e, e.Links(t), container)
	ifb := "gi-" + strings.TrimPrefix(host, "gv-")
	is := func() string {
		return strings.Join(strings.Fields(e.Run(t, "sh", "-c", fmt.Sprintf(
			"tc qdisc show dev %s root; tc qdisc show dev %s root; tc filter show dev %s ingress | grep -o 'Redirect to device gi-.*)' || true", host, ifb, host))), " ")
	}
	good := is()
	for _, damage := range []string{
		"tc qdisc del dev " + host + " root", "ip link del " + ifb, "tc qdisc del dev " + ifb + " root", "tc qdisc del dev " + host + " ingress", "ip link set " + ifb + " down",
	} {
		e.Run(t, "sh", "-c", damage)
		harness.Eventually(t, "rate after "+damage, func() error {
			out, err := e.Try("sh", "-c", "ip link show "+ifb+" up | grep -q "+ifb)
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			if now := is(); now != good {
				return fmt.Errorf("%s, want %s", now, good)
			}
			return nil
		})
	}
}
