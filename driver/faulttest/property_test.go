package faulttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/wiring"
)

// TestRandomLife runs random verbs, restarts, crashes and damage from outside,
// with nftables to tables with an owner and to such without one.
// After every restart or damage the kernel equals the state after one
// comparison, no address and no port is held twice, and at the end, with
// everything removed, nothing is left. Its time is 4 s a backend, or
// GANGWAY_TEST_LONG as a duration; GANGWAY_TEST_SEED repeats a life.
func TestRandomLife(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend, dir string) {
		seed := rand.Uint64()
		if s := os.Getenv("GANGWAY_TEST_SEED"); s != "" {
			var err error
			if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("seed %d", seed)
		limit := 4 * time.Second
		if d, err := time.ParseDuration(os.Getenv("GANGWAY_TEST_LONG")); err == nil {
			limit = d
		}
		l := &life{t: t, rng: rand.New(rand.NewPCG(seed, 1)), backend: backend, dir: dir, w: mustOpen(t, backend, dir)}
		for end := time.Now().Add(limit); time.Now().Before(end); l.steps++ {
			l.step()
		}
		for n := range networks {
			do(t, l.w, "delete network", func(ctx context.Context, w *world) error { return w.DeleteNetwork(ctx, networkID(n)) })
		}
		l.w.sound(t, "at the end")
		l.w.close()
		t.Logf("seed %d: %d steps, %d verbs succeeded, %d restarts, %d times damaged", seed, l.steps, l.succeeded, l.restarts, l.damaged)
	})
}

// networks and endpoints are how many there are to choose from, in all.
const networks, endpoints = 3, 6

func networkID(n int) string  { return fmt.Sprintf("%d%s", n, strings.Repeat("b", 15)) }
func endpointID(n int) string { return fmt.Sprintf("%d%s", n, strings.Repeat("e", 15)) }

// life is one sequence.
type life struct {
	t            *testing.T
	rng          *rand.Rand
	backend, dir string
	w            *world

	steps, succeeded, restarts, damaged int
}

// step does something, whose refusal is as welcome as its success.
func (l *life) step() {
	switch n := l.rng.IntN(20); {
	case n < 17:
		if l.verb() == nil {
			l.succeeded++
		}
	case n == 17:
		l.restarts++
		l.w.close()
		l.w = mustOpen(l.t, l.next(), l.dir)
		l.check("restart")
	default:
		l.damaged++
		what := l.damage()
		l.w.Reconcile(l.t.Context())
		l.check(what)
	}
	if l.steps%10 == 0 {
		// What a verb that takes away could not remove is left to this.
		l.w.Reconcile(l.t.Context())
		l.check("verbs")
	}
}

// next is the firewall after a restart: with nftables the other way to make the
// table, half of the times, as an upgrade or a downgrade does.
func (l *life) next() string {
	if l.backend == "nftables" && l.rng.IntN(2) == 0 {
		return wiring.SharedTable
	}
	return l.backend
}

// check holds the invariants.
func (l *life) check(what string) {
	l.t.Helper()
	at := fmt.Sprintf("step %d, after %s", l.steps, what)
	l.w.sound(l.t, at)
	held := map[string]string{}
	for _, p := range l.w.Ports(l.t.Context()) {
		for port := p.First; port <= p.Last; port++ {
			key := fmt.Sprintf("%s %s %d", p.Protocol, p.HostIP, port)
			if held[key] != "" {
				l.t.Fatalf("%s: port %s is held by %s and %s", at, key, held[key], p.EndpointID)
			}
			held[key] = p.EndpointID
		}
	}
	all, err := l.w.Endpoints(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range all {
		for _, a := range e.Addresses {
			if held[a.String()] != "" {
				l.t.Fatalf("%s: address %s is held by %s and %s", at, a, held[a.String()], e.ID)
			}
			held[a.String()] = e.ID
		}
	}
}

// verb runs one verb, every third time with a fault.
func (l *life) verb() error {
	ctx, n, e := l.t.Context(), l.rng.IntN(networks), l.rng.IntN(endpoints)
	if l.rng.IntN(3) == 0 {
		l.w.faults.set(1+l.rng.IntN(5), []kind{fails, answers}[l.rng.IntN(2)], 0)
		defer l.w.faults.set(0, fails, 0)
	}
	network, endpoint := networkID(n), endpointID(e)
	switch l.rng.IntN(11) {
	case 0, 1:
		return l.w.CreateNetwork(ctx, networkRequest(network, byte(n)))
	case 2, 3:
		_, err := l.w.CreateEndpoint(ctx, endpointRequest(network, endpoint, byte(n), byte(2+l.rng.IntN(5))))
		return err
	case 4, 5:
		_, err := l.w.Join(ctx, network, endpoint, "/netns/"+endpoint, nil)
		return err
	case 6, 7:
		return l.w.Publish(ctx, network, endpoint, ports(8000+l.rng.IntN(4), 80, 9000+l.rng.IntN(4), 90))
	case 8:
		return l.w.Leave(ctx, network, endpoint)
	case 9:
		return l.w.DeleteEndpoint(ctx, network, endpoint)
	}
	if l.rng.IntN(3) > 0 {
		return nil
	}
	return l.w.DeleteNetwork(ctx, network)
}

// rename gives a link another name, on kernels before 6.2 too.
func rename(link string) string {
	return fmt.Sprintf("ip link set %s down; ip link set %[1]s name renamed; ip link set renamed up", link)
}

// damage breaks something, as far as it is there, and says what.
func (l *life) damage() string {
	n := l.rng.IntN(networks)
	bridge := "gw-" + networkID(n)[:12]
	veth := "gv-" + endpointID(l.rng.IntN(endpoints))[:12]
	all := []string{
		"iptables -F", "iptables -t nat -F", "ip6tables -F", "nft flush ruleset", "nft delete table inet gangway",
		"ip link set " + bridge + " down", "ip link set " + bridge + " group 0",
		fmt.Sprintf("ip addr del 10.%d.0.1/24 dev %s", n, bridge),
		"ip route flush dev " + bridge, "ip -6 route flush dev " + bridge,
		"tc qdisc del dev " + veth + " ingress", "tc filter del dev " + veth + " ingress",
		"ip link set " + veth + " nomaster", "ip link set " + veth + " down", "ip link set " + veth + " mtu 1280",
		"sysctl -qw net.ipv4.ip_forward=0", "sysctl -qw net.ipv4.conf." + bridge + ".route_localnet=0",
		"sysctl -qw net.ipv6.conf." + bridge + ".disable_ipv6=1",
		"ip link del " + bridge, rename(bridge), rename(veth),
	}
	what := all[l.rng.IntN(len(all))]
	_ = exec.CommandContext(l.t.Context(), "sh", "-c", what).Run()
	return what
}
