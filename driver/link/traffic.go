package link

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/nlattr"
	"github.com/gangway-net/gangway/driver/spec"
)

// counted is the host end of an endpoint's pair, with what it has counted.
type counted struct {
	index    int
	endpoint string
	spec.Traffic
}

// Traffic returns what has passed the pairs, by endpoint. The numbers are those of the
// host ends: what the filter of a container's port drops was sent, and counts. It takes
// one dump of the links of that kind, however many there are.
func (h *Handle) Traffic(ctx context.Context) (map[string]spec.Traffic, error) {
	ends, err := h.hostEnds(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[string]spec.Traffic, len(ends))
	for _, e := range ends {
		all[e.endpoint] = e.Traffic
	}
	return all, nil
}

// hostEnds lists the host ends of all pairs. Of each it reads three attributes, where
// the library reads, and copies, all of some kilobytes: this is asked again and again. It
// does without RTEXT_FILTER_SKIP_STATS, with which older kernels leave out the statistics of IPv6
// alone, newer ones these numbers too (seen with Linux 7.2).
func (h *Handle) hostEnds(ctx context.Context) ([]counted, error) {
	return dump(ctx, "veth pairs", func() (ends []counted, err error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
		req.Sockets = h.raw
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		// The kernel leaves out other kinds (Linux 4.6 and on).
		kind := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		kind.AddRtAttr(unix.IFLA_INFO_KIND, nl.NonZeroTerminated(kindVeth))
		req.AddData(kind)
		var failed error
		err = req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, func(m []byte) bool {
			end, ours, bad := parseHostEnd(m)
			if ours {
				ends = append(ends, end)
			}
			failed = bad
			return bad == nil
		})
		if failed != nil {
			err = failed
		}
		return ends, err
	})
}

// parseHostEnd reads a link; ours is false if it is no pair of an endpoint.
func parseHostEnd(m []byte) (end counted, ours bool, err error) {
	if len(m) < unix.SizeofIfInfomsg {
		return counted{}, false, fmt.Errorf("a link of %d bytes", len(m))
	}
	end.index = int(int32(binary.NativeEndian.Uint32(m[4:]))) // ifi_index
	veth := false
	for a, err := range nlattr.All(m[unix.SizeofIfInfomsg:]) {
		switch {
		case err != nil:
			return counted{}, false, fmt.Errorf("a link: %w", err)
		case a.Kind == unix.IFLA_IFALIAS:
			id, marked := strings.CutPrefix(unix.ByteSliceToString(a.Value), spec.OwnerAlias)
			if marked {
				end.endpoint = strings.Clone(id)
			}
		case a.Kind == unix.IFLA_STATS64:
			end.Traffic = parseTraffic(a.Value)
		case a.Kind == unix.IFLA_LINKINFO:
			kind, _ := nested(a.Value, 0, unix.IFLA_INFO_KIND)
			veth = unix.ByteSliceToString(kind) == kindVeth
		}
	}
	return end, veth && end.endpoint != "", nil
}

// parseTraffic reads the first numbers of struct rtnl_link_stats64 (linux/if_link.h):
// packets received and sent, bytes received and sent. What the host end receives its
// container has sent.
func parseTraffic(b []byte) spec.Traffic {
	if len(b) < 4*8 {
		return spec.Traffic{}
	}
	number := func(i int) uint64 { return binary.NativeEndian.Uint64(b[8*i:]) }
	return spec.Traffic{SentPackets: number(0), ReceivedPackets: number(1), SentBytes: number(2), ReceivedBytes: number(3)}
}
