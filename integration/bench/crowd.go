package bench

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// crowd is what an engine has besides the network that is measured.
type crowd struct{ networks, containers int }

// figure is what is measured, and beside what.
func (c crowd) figure(what string) string {
	return fmt.Sprintf("%s, with %d networks and %d containers", what, c.networks, c.containers)
}

// crowds measures connections and requests of one network on an engine that has many
// others, and many containers, none of which does anything or publishes a port: what
// these cost is in the table of published ports.
func (r *rig) crowds(t testing.TB, m mode, to *Results) {
	defer startOn(t, r.LAN.Outside.Node, r.dir+"/load", "serve", talkPort).stop(t, 9)
	for round := range m.crowdRounds {
		for _, v := range turns(named(BuiltinName, NftablesName), round) {
			r.with(t, v, func() { r.crowdsOnce(t, m, to) })
		}
	}
}

func (r *rig) crowdsOnce(t testing.TB, m mode, to *Results) {
	const port = 20000
	files := []string{"-v", inside + ":" + inside + ":ro", "--network", network}
	r.container(t, "server", append(files, "-p", fmt.Sprint(port, ":", port), "-p", fmt.Sprint(port, ":", port, "/udp")), inside+"/load", "serve", strconv.Itoa(port))
	defer r.timed(t, "rm", "-f", "server")
	r.container(t, "client", files, "sleep", "1000000")
	defer r.timed(t, "rm", "-f", "client")
	r.eventuallyLogs(t, "server", "ready")
	var now crowd
	defer func() { r.fill(t, &now, crowd{}) }()
	for _, c := range m.crowds {
		r.fill(t, &now, c)
		for range m.crowdSamples {
			r.crowdedOnce(t, m, port, func(what, unit string, value float64) {
				to.add(Figure{Part: partCrowd, Name: c.figure(what), N: 1, Variant: r.active.Name, Unit: unit}, value)
			})
		}
	}
}

// crowdedOnce measures each figure once.
func (r *rig) crowdedOnce(t testing.TB, m mode, port int, add func(what, unit string, value float64)) {
	t.Helper()
	addr := fmt.Sprintf("%s:%d", harness.LanIPv4, port)
	add("connections", "/s", r.load(t, "connect", addr, m.talkSeconds)["rate"])
	add("first packet p50", "us", r.load(t, "first", addr, "1000")["p50"])
	for way, to := range map[string]string{
		"to a container": fmt.Sprintf("%s:%d", r.Address(t, "server", network), port), "to outside": r.LAN.Outside.IPv4 + ":" + talkPort,
	} {
		add("tcp requests "+way, "/s", r.inClient(t, "talk", "tcp", to, m.talkSeconds)["rate"])
	}
}

// fill makes networks and containers, or removes them, until there are so many.
func (r *rig) fill(t testing.TB, now *crowd, wanted crowd) {
	t.Helper()
	name := func(i int) string { return "crowd" + strconv.Itoa(i) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", r.active.Name, err)
		}
	}
	var gone, come []string
	for ; now.containers > wanted.containers; now.containers-- {
		gone = append(gone, name(now.containers-1))
	}
	r.some(t, gone, func(id string) error { return r.call("DELETE", "/containers/"+id+"?force=1", nil, nil) })
	for ; now.networks > wanted.networks; now.networks-- {
		must(r.call("DELETE", "/networks/"+name(now.networks-1), nil, nil))
	}
	for ; now.networks < wanted.networks; now.networks++ {
		must(r.createNetwork(name(now.networks), subnet(now.networks)))
	}
	for ; now.containers < wanted.containers; now.containers++ {
		come = append(come, name(now.containers))
		must(r.call("POST", "/containers/create?name="+name(now.containers), object{
			"Image": harness.Image, "Cmd": []string{"sleep", "1000000"},
			"HostConfig": object{"NetworkMode": name(now.containers % now.networks)},
		}, nil))
	}
	r.some(t, come, func(id string) error { return r.call("POST", "/containers/"+id+"/start", nil, nil) })
}

// some calls f for all ids, fifty at once: more than that is a test of the engine.
func (r *rig) some(t testing.TB, ids []string, f func(id string) error) {
	t.Helper()
	for few := range slices.Chunk(ids, 50) {
		r.each(t, few, f)
	}
}
