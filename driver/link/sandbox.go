package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// lookTime bounds a look into a container.
const lookTime = 2 * time.Second

// LacksIPv6 says whether the container's end of the pair can have no IPv6 address,
// because its disable_ipv6 is set. It is false as well where the end is in no
// container or down, since the engine sets it up before it is up, and where the
// kernel does not tell (before Linux 4.16).
//
// The kernel is asked for the link in the other namespace from here
// (IFLA_TARGET_NETNSID). To enter it by the sandbox's path would need CAP_SYS_ADMIN,
// and in the managed plugin a mount of the folder that the path is in. Whoever holds
// the kernel's lock of links keeps the answer; it is not waited for longer than
// lookTime.
func (h *Handle) LacksIPv6(ctx context.Context, v spec.Veth) (bool, error) {
	type result struct {
		lacks bool
		err   error
	}
	// A socket of its own, so that nobody waits behind it.
	socket, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return false, fmt.Errorf("open a route netlink socket: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	answer := make(chan result, 1)
	h.removals.Go(func() {
		defer socket.Close()
		lacks, err := lacksIPv6(socket, v)
		answer <- result{lacks, err}
	})
	select {
	case r := <-answer:
		return r.lacks, wrap(r.err, "look at the container's end of veth %s", v.Host)
	case <-ctx.Done():
		return false, fmt.Errorf("look at the container's end of veth %s: %w", v.Host, ctx.Err())
	}
}

func lacksIPv6(socket *nl.NetlinkSocket, v spec.Veth) (bool, error) {
	ask := func(by *nl.RtAttr, index int, found func(seen, []byte)) error {
		return askLink(socket, by, index, found)
	}
	var host *seen
	err := ask(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(v.Host)), 0, func(s seen, _ []byte) { host = &s })
	if err != nil || host == nil || !owns(host, v.Host, v.EndpointID) || host.Attrs().NetNsID < 0 {
		return false, err
	}
	peer := host.Attrs().ParentIndex
	lacks := false
	err = ask(nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, nl.Uint32Attr(uint32(host.Attrs().NetNsID))), peer, func(s seen, m []byte) {
		// An older kernel has ignored the attribute and described a link of this namespace.
		there, failed := attribute(m, unix.SizeofIfInfomsg, unix.IFLA_TARGET_NETNSID)
		lacks = failed == nil && there != nil && s.Attrs().Index == peer && s.Attrs().Flags&net.FlagUp != 0 && !s.ipv6
	})
	return lacks, err
}

// askLink asks for one link, by its index or by an attribute; one that is gone is
// no error.
func askLink(socket *nl.NetlinkSocket, by *nl.RtAttr, index int, found func(seen, []byte)) error {
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStatistics)))
	req.AddData(by)
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if errors.Is(err, unix.ENODEV) || err == nil && len(answers) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	s, err := parseLink(answers[0])
	if err == nil {
		found(s, answers[0])
	}
	return err
}
