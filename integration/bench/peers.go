package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/harness"
)

// The variants of the comparison that are of other projects.
const (
	portmapIptablesName = "portmap-iptables"
	portmapNftablesName = "portmap-nftables"
	netavarkName        = "netavark"
)

// published are ports of the host that lead to a container's of the same numbers.
type published struct {
	proto        string
	first, count int
}

// connector is who connects containers to a network of the host, and publishes their
// ports. A container is a network namespace of the host.
type connector interface {
	// up connects the i-th container, and says how long it took.
	up(t testing.TB, i int, p published) time.Duration
	// down is the opposite of up.
	down(t testing.TB, i int, p published) time.Duration
}

// peer is one to compare.
type peer struct {
	name string
	// most is how many ports it can publish in a time that can be waited for.
	most int
	on   func(t testing.TB, h *peerHost) connector
}

func peers() []peer {
	portmap := func(backend string) func(testing.TB, *peerHost) connector {
		return func(_ testing.TB, h *peerHost) connector { return &portmap{peerHost: h, backend: backend} }
	}
	out := []peer{
		{portmapIptablesName, 1000, portmap("iptables")},
		{portmapNftablesName, 10000, portmap("nftables")},
		{netavarkName, 10000, func(_ testing.TB, h *peerHost) connector { return &netavark{h} }},
	}
	for _, v := range of(gangway) {
		out = append(out, peer{v.Name, 10000, func(t testing.TB, h *peerHost) connector { return newOwn(t, v, h) }})
	}
	return out
}

// peerHost is a host without an engine.
type peerHost struct {
	*harness.Host
	lan *harness.LAN
	// programs is the folder of the programs for those who see the machine's files.
	programs string
}

// resident and guest are the containers: one that is there, and one that comes and goes.
const resident, guest = 2, 3

func space(i int) string { return "c" + strconv.Itoa(i) }

// address is that of the i-th container.
func address(i int) string { return "10.64.0." + strconv.Itoa(i) }

// make has the host have the i-th container.
func (h *peerHost) make(t testing.TB, i int) {
	t.Helper()
	h.Run(t, "ip", "netns", "add", space(i))
	h.Run(t, "ip", "-n", space(i), "link", "set", "lo", "up")
}

func (h *peerHost) remove(t testing.TB, i int) {
	t.Helper()
	h.Run(t, "ip", "netns", "del", space(i))
}

// comparePeers measures each one's containers with so many published ports, beside a
// container that publishes none, and one that publishes many.
func comparePeers(t testing.TB, m mode, to *Results) {
	dir := t.TempDir()
	programs(t, dir)
	for round := range m.peerRounds {
		for _, p := range turns(peers(), round) {
			for _, there := range m.peersThere {
				if there > p.most {
					continue
				}
				within(t, func(t testing.TB) {
					host, lan := harness.PeerHost(t, dir, inside)
					h := &peerHost{Host: host, lan: lan, programs: dir}
					h.compare(t, m, to, p, there)
				})
			}
		}
	}
}

// compare measures one peer, beside a container with so many ports.
func (h *peerHost) compare(t testing.TB, m mode, to *Results, p peer, there int) {
	t.Helper()
	h.Run(t, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	c := p.on(t, h)
	h.make(t, resident)
	held := published{"tcp", 30000, there}
	c.up(t, resident, held)
	add := func(name, unit string, n int, v float64) {
		to.add(Figure{Part: partPeers, Name: fmt.Sprintf("%s, %d there", name, there), N: n, Variant: p.name, Unit: unit}, v)
	}
	for _, n := range m.peerPorts {
		ports := published{"udp", 20000, n}
		h.make(t, guest)
		add("set up", "s", n, c.up(t, guest, ports).Seconds())
		add("take down", "s", n, c.down(t, guest, ports).Seconds())
		h.remove(t, guest)
	}
	if there > 0 {
		server := startOn(t, h.Node, "ip", "netns", "exec", space(resident), inside+"/load", "serve", strconv.Itoa(held.first+there/2))
		defer server.stop(t, 9)
		add("connections", "/s", 1, h.connections(t, m, held.first+there/2))
	}
	c.down(t, resident, held)
	h.remove(t, resident)
}

// connections is how many a second another host opens to a published port.
func (h *peerHost) connections(t testing.TB, m mode, port int) float64 {
	t.Helper()
	connect := func(seconds string) (string, error) {
		return h.lan.Neighbour.Try(h.programs+"/load", "connect", fmt.Sprintf("%s:%d", harness.LanIPv4, port), seconds)
	}
	harness.Eventually(t, "a connection to the published port", func() error {
		_, err := connect("0.2")
		return err
	})
	out, err := connect(m.trafficSeconds)
	if err != nil {
		t.Fatal(err)
	}
	return numbers(t, out)["rate"]
}

// asks runs a program of the host with an input, and says how long it took.
func (h *peerHost) asks(t testing.TB, input any, environment []string, program ...string) ([]byte, time.Duration) {
	t.Helper()
	encoded, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	args := append(append([]string{"env"}, environment...), inside+"/load", "time")
	cmd := h.Command(ctx, append(args, program...)...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(encoded), &out, &said
	if err = cmd.Run(); err != nil {
		t.Fatalf("%v: %v: %s%s", program, err, &out, &said)
	}
	seconds, err := strconv.ParseFloat(said.String(), 64)
	if err != nil {
		t.Fatalf("%v: %q is no time: %v", program, &said, err)
	}
	return out.Bytes(), time.Duration(seconds * float64(time.Second))
}
