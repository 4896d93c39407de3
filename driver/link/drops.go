package link

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// queueDrops is where struct gnet_stats_queue (linux/gen_stats.h) holds the drops, a
// number of 32 bits; queueStats is its attribute.
const (
	queueDrops = 8
	queueStats = nl.TCA_STATS_QUEUE
)

// PortDrops returns, by endpoint, how many frames of its container the filter has dropped
// since it was set. The kernel counts them anyway, in the statistics of the qdisc that the
// filter is in: a frame that passes costs nothing more. It takes one dump of the qdiscs,
// and one of the links.
func (h *Handle) PortDrops(ctx context.Context) (map[string]uint64, error) {
	counts, err := dump(ctx, "qdiscs", h.ingressDrops)
	if err != nil || len(counts) == 0 {
		return nil, err
	}
	ends, err := h.hostEnds(ctx)
	if err != nil {
		return nil, err
	}
	drops := map[string]uint64{}
	for _, e := range ends {
		if n, counts := counts[e.index]; counts {
			drops[e.endpoint] = n
		}
	}
	return drops, nil
}

// ingressDrops returns what the ingress qdiscs of the namespace have dropped, by link.
func (h *Handle) ingressDrops() (map[int]uint64, error) {
	req := nl.NewNetlinkRequest(unix.RTM_GETQDISC, unix.NLM_F_DUMP)
	req.Sockets = h.raw
	req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL})
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWQDISC)
	if err != nil {
		return nil, err
	}
	counts := map[int]uint64{}
	for _, m := range answers {
		if len(m) < nl.SizeofTcMsg {
			return nil, fmt.Errorf("a qdisc of %d bytes", len(m))
		}
		msg := nl.DeserializeTcMsg(m)
		if msg.Parent != netlink.HANDLE_INGRESS {
			continue
		}
		stats, err := nested(m, nl.SizeofTcMsg, nl.TCA_STATS2, queueStats)
		if err != nil {
			return nil, fmt.Errorf("the statistics of a qdisc: %w", err)
		}
		if len(stats) >= queueDrops+4 {
			counts[int(msg.Ifindex)] = uint64(binary.NativeEndian.Uint32(stats[queueDrops:]))
		}
	}
	return counts, nil
}
