package doctor

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Attached is a program or filter of others at a link, which may keep packets from all rules
// or from their receiver.
type Attached struct {
	// What is it, and Does what it may do with packets, in words.
	What, Does string
	// XDP says that it is one of XDP, else it is of traffic control. Out says that it is about
	// what leaves by the link.
	XDP, Out bool
	// Dropped are the packets that it has dropped, as far as the kernel counts them.
	Dropped uint32
}

const mayDrop, leadsElsewhere = "may drop", "leads elsewhere some of"

// lookAtAttached looks for programs of XDP and of traffic control, and for filters whose
// action drops or redirects. Which packets a program drops nobody sees from outside.
func (f *Facts) lookAtAttached(kernel *netlink.Handle) error {
	links, err := complete(kernel.LinkList())
	if err != nil {
		return err
	}
	queues, err := complete(kernel.QdiscList(nil))
	if err != nil {
		return err
	}
	// Where there is a queue for what comes in alone, the kernel lists its filters for both ways.
	both := map[int]bool{}
	for _, q := range queues {
		both[q.Attrs().LinkIndex] = both[q.Attrs().LinkIndex] || q.Type() == "clsact"
	}
	f.Host.Attached = map[string][]Attached{}
	for _, l := range links {
		a := l.Attrs()
		var all []Attached
		if a.Xdp != nil && a.Xdp.Attached {
			all = append(all, Attached{What: "an XDP program (" + programName(a.Xdp.ProgId) + ")", Does: mayDrop, XDP: true})
		}
		all = append(all, f.trafficControl(kernel, l, false)...)
		if both[a.Index] {
			all = append(all, f.trafficControl(kernel, l, true)...)
		}
		for _, id := range tcxPrograms(a.Index, ebpf.AttachTCXIngress) {
			all = append(all, Attached{What: "a program of traffic control (" + programName(id) + ")", Does: mayDrop})
		}
		for _, id := range tcxPrograms(a.Index, ebpf.AttachTCXEgress) {
			all = append(all, Attached{What: "a program of traffic control (" + programName(id) + ")", Does: mayDrop, Out: true})
		}
		if len(all) > 0 {
			f.Host.Attached[a.Name] = all
		}
	}
	return nil
}

// trafficControl are the filters of others at a link that may keep packets from somebody.
func (f *Facts) trafficControl(kernel *netlink.Handle, l netlink.Link, out bool) (all []Attached) {
	parent := uint32(netlink.HANDLE_MIN_INGRESS)
	if out {
		parent = netlink.HANDLE_MIN_EGRESS
	}
	filters, err := complete(kernel.FilterList(l, parent))
	if err != nil {
		return nil // the link has no such place, or is gone
	}
	for _, filter := range filters {
		if one, acts := attachedFilter(filter); acts && !f.ownFilter(l.Attrs().Name, out, filter) {
			one.Out = out
			all = append(all, one)
		}
	}
	return all
}

// ownFilter says that a filter is the port filter of a container.
func (f *Facts) ownFilter(link string, out bool, filter netlink.Filter) bool {
	const priority = 1 // of package link
	if _, program := filter.(*netlink.BpfFilter); !program || out || filter.Attrs().Priority != priority {
		return false
	}
	for _, e := range f.State.Endpoints {
		if e.HostInterface == link {
			return true
		}
	}
	return false
}

// tcxPrograms are the numbers of programs that are attached without a queue (Linux 6.6).
func tcxPrograms(index int, at ebpf.AttachType) (all []uint32) {
	found, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: at})
	if err != nil {
		return nil // the kernel knows no such place
	}
	for _, p := range found.Programs {
		all = append(all, uint32(p.ID))
	}
	return all
}

// programName is a program's name and number.
func programName(id uint32) string {
	number := fmt.Sprintf("number %d", id)
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return number
	}
	defer func() { _ = p.Close() }()
	if info, err := p.Info(); err == nil && info.Name != "" {
		return info.Name + ", " + number
	}
	return number
}

// attachedFilter says what a filter does, if it may keep packets from anybody.
func attachedFilter(filter netlink.Filter) (a Attached, acts bool) {
	var actions []netlink.Action
	switch f := filter.(type) {
	case *netlink.BpfFilter:
		if f.Id != 0 {
			return Attached{What: "a program of traffic control (" + programName(uint32(f.Id)) + ")", Does: mayDrop}, true //nolint:gosec // a number of the kernel's
		}
		return Attached{What: fmt.Sprintf("a program of traffic control (preference %d)", f.Priority), Does: mayDrop}, true
	case *netlink.U32:
		actions = f.Actions
	case *netlink.Flower:
		actions = f.Actions
	case *netlink.MatchAll:
		actions = f.Actions
	case *netlink.FwFilter:
		actions = f.Actions
	}
	a = Attached{What: fmt.Sprintf("a filter of traffic control (%s, preference %d)", filter.Type(), filter.Attrs().Priority)}
	for _, action := range actions {
		switch of := action.(type) {
		case *netlink.MirredAction:
			if of.MirredAction != netlink.TCA_EGRESS_REDIR && of.MirredAction != netlink.TCA_INGRESS_REDIR {
				continue // a copy
			}
			a.Does, acts = leadsElsewhere, true
		default:
			if of.Attrs().Action != netlink.TC_ACT_SHOT {
				continue
			}
			a.Does, acts = mayDrop, true
			if st := of.Attrs().Statistics; st != nil && st.Queue != nil {
				a.Dropped += st.Queue.Drops
			}
		}
	}
	return a, acts
}

// attached says which programs and filters of others may keep from a target what is for it,
// or its answers from who asks. Where everything is looked at, those count that have dropped
// something: who they are for is not known.
func (f Facts) attached(t Target) (all []Finding) {
	links := append(f.bridges(t), f.outside()...)
	for _, e := range f.State.Endpoints {
		if t.endpoint(f, e) {
			links = append(links, e.HostInterface)
		}
	}
	slices.Sort(links)
	for _, name := range slices.Compact(links) {
		for _, a := range f.Host.Attached[name] {
			if a.Dropped > 0 || !t.all() {
				all = append(all, a.finding(name))
			}
		}
	}
	return all
}

func (a Attached) finding(at string) Finding {
	way, what := "ingress", "comes by"
	if a.Out {
		way, what = "egress", "leaves by"
	}
	f := Finding{fmt.Sprintf("%s %s what %s %s, whatever the rules say", a.What, a.Does, what, at), fmt.Sprintf("look at tc -s filter show dev %s %s, and at what has attached it (bpftool net)", at, way)}
	if a.Dropped > 0 {
		f.Text = fmt.Sprintf("%s has dropped %d packets of what %s %s, whatever the rules say", a.What, a.Dropped, what, at)
	}
	if a.XDP {
		f.Cure = fmt.Sprintf("look at ip -d link show %s, and at what has attached it (bpftool net); ip link set %s xdp off takes it away", at, at)
	}
	return f
}
