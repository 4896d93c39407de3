package bench

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/gangway-net/gangway/integration/harness"
)

// gateway is the host's address on the network that a variant is measured on. What it
// answers from another address of its own is no answer for a socket that is connected.
const gateway = "10.73.0.1"

// affinity has iperf3 run on the first processor, and its server on the last.
func affinity() string { return fmt.Sprint("0,", runtime.NumCPU()-1) }

// talkPort is where the host and the outside answer what is asked of them.
const talkPort = "20005"

// traffic measures new connections and first packets from another host through
// one published port, among so many.
func (r *rig) traffic(t testing.TB, m mode, to *Results) {
	deciding := pass{of(builtin, gangway), m.trafficPorts[:1]}
	for round, p := range m.trafficRounds.passes(pass{of(builtin, gangway), m.trafficPorts}, deciding) {
		for _, v := range p.variants {
			r.with(t, v, func() {
				for _, n := range p.sizes {
					if v.kind == builtin && n > m.builtinPorts && (round > 0 || n > 1000 || m.name == "quick") {
						continue
					}
					r.trafficOnce(t, m, to, n)
				}
			})
		}
	}
}

func (r *rig) trafficOnce(t testing.TB, m mode, to *Results, n int) {
	port := 20000 + n/2 // amid the others, for those who search in a line
	args := append([]string{"-v", inside + ":" + inside + ":ro", "--network", network}, publish(n, "tcp")...)
	args = append(args, "-p", fmt.Sprintf("%d:%d/udp", port, port))
	r.container(t, "server", args, inside+"/load", "serve", strconv.Itoa(port))
	defer r.timed(t, "rm", "-f", "server")
	r.eventuallyLogs(t, "server", "ready")
	addr := fmt.Sprintf("%s:%d", harness.LanIPv4, port)
	r.load(t, "connect", addr, "0.2")
	rate := r.load(t, "connect", addr, m.trafficSeconds)
	f := Figure{Part: partTraffic, Name: "connections", N: n, Variant: r.active.Name, Unit: "/s"}
	to.add(f, rate["rate"])
	first := r.load(t, "first", addr, "2000")
	f.Name, f.Unit = "first packet p50", "us"
	to.add(f, first["p50"])
	f.Name = "first packet p99"
	to.add(f, first["p99"])
}

// container starts a container in the background.
func (r *rig) container(t testing.TB, name string, args []string, cmd ...string) {
	t.Helper()
	run := append([]string{"run", "-d", "--name", name}, args...)
	r.timed(t, append(append(run, harness.Image), cmd...)...)
}

func (r *rig) eventuallyLogs(t testing.TB, name, word string) {
	t.Helper()
	harness.Eventually(t, word+" of "+name, func() error {
		out, err := r.TryDocker("logs", name)
		if err == nil && out == "" {
			err = fmt.Errorf("log is empty")
		}
		return err
	})
}

// throughput measures one TCP stream between a container and what it talks to, and
// requests of a byte with their answers.
func (r *rig) throughput(t testing.TB, m mode, to *Results) {
	server := startOn(t, r.LAN.Outside.Node, iperf(r.dir, "-s")...)
	defer server.stop(t, 9)
	host := startOn(t, r.Node, iperf(inside, "-s")...)
	defer host.stop(t, 9)
	defer startOn(t, r.LAN.Outside.Node, r.dir+"/load", "serve", talkPort).stop(t, 9)
	defer startOn(t, r.Node, inside+"/load", "serve", talkPort).stop(t, 9)
	for _, p := range m.throughputRounds.passes(pass{variants: of(builtin, gangway)}, pass{}) {
		for _, v := range p.variants {
			r.with(t, v, func() { r.throughputOnce(t, m, to) })
		}
	}
}

func (r *rig) throughputOnce(t testing.TB, m mode, to *Results) {
	add := func(name, unit string, value float64) {
		to.add(Figure{Part: partThroughput, Name: name, N: 1, Variant: r.active.Name, Unit: unit}, value)
	}
	r.between(t, network, m, func(client func(to ...string) string, address string) {
		for name, run := range map[string]func() string{
			"to a container": func() string { return client(address, "-p", "20001") },
			"to the host":    func() string { return client(harness.LanIPv4) },
			"to outside":     func() string { return client(r.LAN.Outside.IPv4) },
			"from outside": func() string {
				return r.LAN.Outside.Run(t, iperf(r.dir, "-J", "-A", affinity(), "-t", m.throughputSeconds, "-c", harness.LanIPv4, "-p", "20001")...)
			},
		} {
			add(name, "Gbit/s", gigabits(t, run()))
		}
		r.serve(t, address)
		add("short datagram to a container", "us", r.inClient(t, "send", address+":20002", m.throughputSeconds)["p50"])
		for way, to := range map[string]string{
			"to a container": address + ":20002", "to the host": gateway + ":" + talkPort, "to outside": r.LAN.Outside.IPv4 + ":" + talkPort,
		} {
			for _, p := range protocols() {
				add(p+" requests "+way, "/s", r.inClient(t, "talk", p, to, m.talkSeconds)["rate"])
			}
		}
	})
	if r.active.kind != gangway {
		return
	}
	const open = "without"
	r.Docker(t, "network", "create", "-d", r.driver, "--subnet", "10.72.0.0/16", "-o", "gangway.anti_spoofing=false", open)
	defer r.Docker(t, "network", "rm", open)
	r.between(t, open, m, func(client func(to ...string) string, address string) {
		add("to a container, anti_spoofing=false", "Gbit/s", gigabits(t, client(address, "-p", "20001")))
		r.serve(t, address)
		add("short datagram to a container, anti_spoofing=false", "us", r.inClient(t, "send", address+":20002", m.throughputSeconds)["p50"])
	})
}

// between runs f with two containers on a network, one of which serves at
// address; client runs iperf3 in the other one.
func (r *rig) between(t testing.TB, network string, m mode, f func(client func(to ...string) string, address string)) {
	t.Helper()
	files := []string{"-v", inside + ":" + inside + ":ro", "--network", network}
	r.container(t, "server", append(files, "-p", "20001:20001"), iperf(inside, "-s", "-p", "20001", "--forceflush")...)
	defer r.timed(t, "rm", "-f", "server")
	r.container(t, "client", files, "sleep", "1000000")
	defer r.timed(t, "rm", "-f", "client")
	r.eventuallyLogs(t, "server", "listening")
	f(func(to ...string) string {
		args := iperf(inside, append([]string{"-J", "-A", affinity(), "-t", m.throughputSeconds, "-c"}, to...)...)
		return r.Docker(t, append([]string{"exec", "client"}, args...)...)
	}, r.Address(t, "server", network))
}

// serve has the server answer, and waits until it does.
func (r *rig) serve(t testing.TB, address string) {
	t.Helper()
	r.Docker(t, "exec", "-d", "server", inside+"/load", "serve", "20002")
	r.inClient(t, "wait", address+":20002", "10")
}

// inClient runs a command of load in the client's container. That of send is the
// processor time of a short datagram: what is done for each packet shows in it, and
// not in a stream of 64 KiB at a time.
func (r *rig) inClient(t testing.TB, args ...string) map[string]float64 {
	t.Helper()
	return numbers(t, r.Docker(t, append([]string{"exec", "client", inside + "/load"}, args...)...))
}

// gigabits reads what a server received from iperf3's JSON.
func gigabits(t testing.TB, out string) float64 {
	t.Helper()
	var report struct {
		End struct {
			Received struct {
				Rate float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
		Error string `json:"error"`
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Error != "" {
		t.Fatalf("iperf3: %v %s in %q", err, report.Error, out)
	}
	return report.End.Received.Rate / 1e9
}
