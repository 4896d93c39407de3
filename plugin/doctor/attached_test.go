package doctor

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// plantedPrograms are programs and filters of others at links.
func plantedPrograms() map[string]planted {
	redirect := func(at, side, action string) string {
		return "tc qdisc add dev " + at + " clsact; tc filter add dev " + at + " " + side + " protocol ip prio 7 u32 match ip protocol 6 0xff action mirred egress " + action + " dev lan1"
	}
	return map[string]planted{
		"an XDP program":                 {port: 8000, do: func(h *host) { h.xdp("lan0") }, want: "an XDP program (dropper, number … may drop what comes by lan0, whatever the rules say: look at ip -d link show lan0 … ip link set lan0 xdp off takes it away"},
		"an XDP program elsewhere":       {port: 8000, host: "ip link add away type veth peer name away2", do: func(h *host) { h.xdp("away") }},
		"a traffic program":              {port: 8000, do: func(h *host) { h.tcx("lan0", ebpf.AttachTCXEgress) }, want: "a program of traffic control (dropper, number … may drop what leaves by lan0, whatever the rules say: look at tc -s filter show dev lan0 egress"},
		"a traffic program, as a filter": {port: 8000, do: func(h *host) { h.run("tc qdisc add dev gv-1 clsact"); h.classifier("gv-1", 7) }, want: "a program of traffic control (dropper, number … may drop what comes by gv-1"},
		"the port filter":                {port: 8000, do: func(h *host) { h.run("tc qdisc add dev gv-1 ingress"); h.classifier("gv-1", 1) }},
		"a filter elsewhere":             {port: 8000, host: redirect("gv-1", "egress", "redirect"), want: "a filter of traffic control (u32, preference 7) leads elsewhere some of what leaves by gv-1, whatever the rules say"},
		"a filter that copies":           {port: 8000, host: redirect("gv-1", "egress", "mirror")},
	}
}

// dropper is a program that drops everything.
func (h *host) dropper(of ebpf.ProgramType, verdict int32) *ebpf.Program {
	h.t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "dropper", Type: of, License: "Apache-2.0", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()}})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = program.Close() })
	return program
}

func (h *host) index(of string) int {
	h.t.Helper()
	l, err := net.InterfaceByName(of)
	if err != nil {
		h.t.Fatal(err)
	}
	return l.Index
}

func (h *host) attach(l io.Closer, err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = l.Close() })
}

func (h *host) xdp(at string) {
	const drop = 1 // XDP_DROP
	h.attach(link.AttachXDP(link.XDPOptions{Program: h.dropper(ebpf.XDP, drop), Interface: h.index(at)}))
}

func (h *host) tcx(at string, side ebpf.AttachType) {
	h.attach(link.AttachTCX(link.TCXOptions{Program: h.dropper(ebpf.SchedCLS, int32(netlink.TC_ACT_SHOT)), Interface: h.index(at), Attach: side}))
}

// classifier puts a program where filters are.
func (h *host) classifier(at string, priority uint16) {
	h.t.Helper()
	err := netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: h.index(at), Parent: netlink.HANDLE_MIN_INGRESS, Protocol: unix.ETH_P_ALL, Priority: priority, Handle: 1},
		Fd:          h.dropper(ebpf.SchedCLS, int32(netlink.TC_ACT_SHOT)).FD(), Name: "dropper", DirectAction: true,
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// TestAttachedFilter: a filter whose action drops is told of with what it has dropped; one that
// accepts is not. Not each kernel has that action, so these are as netlink tells of them.
func TestAttachedFilter(t *testing.T) {
	with := func(a netlink.TcAct, dropped uint32) netlink.Filter {
		return &netlink.U32{FilterAttrs: netlink.FilterAttrs{Priority: 7}, Actions: []netlink.Action{&netlink.GenericAction{ActionAttrs: netlink.ActionAttrs{
			Action: a, Statistics: &netlink.ActionStatistic{Queue: &netlink.GnetStatsQueue{Drops: dropped}},
		}}}}
	}
	f := Facts{Host: Host{Links: map[string]Link{"lan0": {}}, Uplinks: []string{"lan0"}, Attached: map[string][]Attached{}}}
	for _, filter := range []netlink.Filter{with(netlink.TC_ACT_SHOT, 0), with(netlink.TC_ACT_SHOT, 3), with(netlink.TC_ACT_OK, 0)} {
		if a, acts := attachedFilter(filter); acts {
			f.Host.Attached["lan0"] = append(f.Host.Attached["lan0"], a)
		}
	}
	lines := func(target Target) (all []string) {
		for _, finding := range f.attached(target) {
			all = append(all, finding.Text)
		}
		return all
	}
	const may, has = "(u32, preference 7) may drop what comes by lan0", "(u32, preference 7) has dropped 3 packets of what comes by lan0"
	if got := lines(Target{Port: 8000}); len(got) != 2 || !strings.Contains(got[0], may) || !strings.Contains(got[1], has) {
		t.Errorf("for a port: %q", got)
	}
	if got := lines(Target{}); len(got) != 1 || !strings.Contains(got[0], has) {
		t.Errorf("for everything: %q", got)
	}
}
