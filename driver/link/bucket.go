package link

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// bucketHandle marks the token buckets that gangway puts at links: what has another handle
// is somebody else's, and is not removed. The number spells "GW".
const bucketHandle = 0x4757 << 16

// bucket is a token bucket (tc's tbf) as the kernel tells of it.
type bucket struct {
	rate  uint64
	queue uint32
	// ticks are the time in which the burst passes at the rate, in 64 nanoseconds.
	ticks uint32
}

// is says whether it shapes so. The kernel keeps the burst as a time, which it rounds.
func (b bucket) is(s spec.Shape) bool {
	want := float64(s.Burst) / float64(s.Rate)
	return b.rate == s.Rate && b.queue == s.Queue && math.Abs(float64(b.ticks)*tick-want) <= want/200+2*tick
}

// burst are the bytes that pass at once.
func (b bucket) burst() float64 { return float64(b.ticks) * tick * float64(b.rate) }

// tick is the unit in which the kernel tells of the burst (PSCHED_SHIFT), in seconds.
const tick = 64e-9

// setBucket has what leaves by a link wait in a token bucket, in the place of what else keeps
// it back there. One that is there is changed, and nothing that waits in it is lost, unless
// its burst becomes smaller: a packet that waits in it and is larger than that would wait for
// ever, and all others behind it.
func (h *Handle) setBucket(link netlink.Link, have bucket, s spec.Shape) error {
	if have.burst() > float64(s.Burst) {
		if err := h.removeBucket(link); err != nil {
			return err
		}
	}
	req := h.bucketRequest(unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_REPLACE|unix.NLM_F_ACK, link)
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("tbf")))
	const ethernet = 1 // TC_LINKLAYER_ETHERNET: the kernel asks for no table of times then
	q := nl.TcTbfQopt{Limit: s.Queue}
	q.Rate.Rate, q.Rate.Linklayer = uint32(min(s.Rate, math.MaxUint32)), ethernet //nolint:gosec // bounded
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_TBF_PARMS, q.Serialize())
	options.AddRtAttr(nl.TCA_TBF_BURST, nl.Uint32Attr(s.Burst))
	if s.Rate > math.MaxUint32 {
		options.AddRtAttr(nl.TCA_TBF_RATE64, nl.Uint64Attr(s.Rate))
	}
	req.AddData(options)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("keep to a rate at %s: the kernel has no tbf; load the module sch_tbf, or leave gangway.rate.in and gangway.rate.out out: %w", link.Attrs().Name, err)
	}
	return wrap(err, "keep to the rate %s at %s", s, link.Attrs().Name)
}

// removeBucket takes gangway's token bucket away from a link.
func (h *Handle) removeBucket(link netlink.Link) error {
	_, err := h.bucketRequest(unix.RTM_DELQDISC, unix.NLM_F_ACK, link).Execute(unix.NETLINK_ROUTE, 0)
	// Without it the request is invalid.
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) || notFound(err) {
		return nil
	}
	return wrap(err, "take the rate of %s away", link.Attrs().Name)
}

func (h *Handle) bucketRequest(kind, flags int, link netlink.Link) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = h.raw
	req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(link.Attrs().Index), Handle: bucketHandle, Parent: netlink.HANDLE_ROOT}) //nolint:gosec // an index
	return req
}

// buckets lists gangway's token buckets, by the index of their link. To ask for one alone
// would have older kernels tell everybody who listens.
func (h *Handle) buckets(ctx context.Context) (map[int]bucket, error) {
	return dump(ctx, "token buckets", func() (map[int]bucket, error) {
		all := map[int]bucket{}
		req := nl.NewNetlinkRequest(unix.RTM_GETQDISC, unix.NLM_F_DUMP)
		req.Sockets = h.raw
		req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL})
		var failed error
		err := req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWQDISC, func(m []byte) bool {
			if len(m) < nl.SizeofTcMsg {
				failed = fmt.Errorf("a qdisc in %d bytes", len(m))
				return false
			}
			if head := nl.DeserializeTcMsg(m); head.Handle == bucketHandle && head.Parent == netlink.HANDLE_ROOT {
				var b bucket
				if b, failed = parseBucket(m); failed != nil {
					return false
				}
				all[int(head.Ifindex)] = b
			}
			return true
		})
		return all, errors.Join(err, failed)
	})
}

// parseBucket reads a token bucket; what is none has no rate.
func parseBucket(m []byte) (b bucket, err error) {
	kind, err := attribute(m, nl.SizeofTcMsg, nl.TCA_KIND)
	if err != nil || unix.ByteSliceToString(kind) != "tbf" {
		return b, err
	}
	options, err := attribute(m, nl.SizeofTcMsg, nl.TCA_OPTIONS)
	if err != nil {
		return b, err
	}
	err = attributes(options, 0, func(kind uint16, value []byte) {
		switch {
		case kind == nl.TCA_TBF_PARMS && len(value) >= nl.SizeofTcTbfQopt:
			q := nl.DeserializeTcTbfQopt(value)
			b.rate, b.queue, b.ticks = max(b.rate, uint64(q.Rate.Rate)), q.Limit, q.Buffer
		case kind == nl.TCA_TBF_RATE64 && len(value) >= 8:
			b.rate = nl.NativeEndian().Uint64(value)
		}
	})
	return b, err
}
