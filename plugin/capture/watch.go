package capture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	mdnetlink "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// newsBytes is how much news of links waits for this program: containers come and go by
// the hundred.
const newsBytes = 4 << 20

// watch tells which of the links, given by their indexes, are gone, each once, until ctx ends.
// A packet socket tells no more than that a link is down.
func watch(ctx context.Context, indexes []int, gone chan<- int) error {
	links, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("look for links: %w", err)
	}
	defer links.Close()
	news, err := mdnetlink.Dial(unix.NETLINK_ROUTE, &mdnetlink.Config{Groups: unix.RTMGRP_LINK})
	if err != nil {
		return fmt.Errorf("hear of links: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = news.Close() })()
	_ = news.SetReadBuffer(newsBytes) // less room only means to look more often
	left := map[int]int{}
	for i, index := range indexes {
		left[index] = i
	}
	remove := func(index int) {
		if i, ours := left[index]; ours {
			delete(left, index)
			gone <- i
		}
	}
	for look := true; ; {
		if look {
			look = false
			for _, index := range indexes {
				_, err = links.LinkByIndex(index)
				if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
					remove(index)
				}
			}
		}
		messages, failed := news.Receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(failed, unix.ENOBUFS): // some news is lost
			look = true
		case failed != nil:
			return fmt.Errorf("hear of links: %w", failed)
		}
		for _, m := range messages {
			if index, ok := removed(m); ok {
				remove(index)
			}
		}
	}
}

// removed is the link that a message tells is gone. Of a port that leaves its bridge there is
// a message of the same type.
func removed(m mdnetlink.Message) (index int, ok bool) {
	if m.Header.Type != unix.RTM_DELLINK || len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] == unix.AF_BRIDGE {
		return 0, false
	}
	return int(int32(binary.NativeEndian.Uint32(m.Data[4:]))), true //nolint:gosec // an index
}
