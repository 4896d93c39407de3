package nflog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/firewall"
)

// Of linux/netfilter/nfnetlink_log.h, which package unix does not have.
const (
	packetMessage = unix.NFNL_SUBSYS_ULOG << 8
	configMessage = unix.NFNL_SUBSYS_ULOG<<8 | 1

	configCommand, configMode, configThreshold, configFlags = 1, 2, 5, 6

	commandBind = 1
	copyPacket  = 2
	flagCount   = 1 // NFULNL_CFG_F_SEQ

	attrHeader, attrTime, attrIn, attrOut, attrPayload, attrPrefix, attrCount = 1, 3, 4, 5, 9, 10, 13
)

// queueBytes is how much waits in the kernel.
const queueBytes = 1 << 20

// Listener hears of refused packets. One goroutine at a time may call Next.
type Listener struct {
	conn  *netlink.Conn
	links *linkNames
	// waiting are those that were read together with others.
	waiting []firewall.Refused
	// next is the number of the next packet; started says that it is known.
	next    uint32
	started bool
	once    sync.Once
}

// Listen begins to listen. It fails while another program listens to the group.
func Listen() (*Listener, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("hear of refused packets: %w", err)
	}
	links, err := newLinkNames()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("hear of refused packets: %w", err), conn.Close())
	}
	l := &Listener{conn: conn, links: links}
	_ = conn.SetReadBuffer(queueBytes) // with less room more is lost, which is counted
	if err := l.bind(); err != nil {
		l.Close()
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EPERM) {
			return nil, fmt.Errorf("hear of refused packets: another program listens to netlink group %d (nflog), see /proc/net/netfilter/nfnetlink_log: %w", firewall.LogGroup, err)
		}
		return nil, fmt.Errorf("hear of refused packets (nflog, kernel module nfnetlink_log): %w", err)
	}
	return l, nil
}

// bind asks the kernel for the group, for the beginning of each packet, at once and with a
// number.
func (l *Listener) bind() error {
	mode := binary.BigEndian.AppendUint32(nil, firewall.LogBytes)
	for _, a := range []netlink.Attribute{
		{Type: configCommand, Data: []byte{commandBind}},
		{Type: configMode, Data: append(mode, copyPacket, 0)},
		{Type: configThreshold, Data: binary.BigEndian.AppendUint32(nil, 1)},
		{Type: configFlags, Data: binary.BigEndian.AppendUint16(nil, flagCount)},
	} {
		data, err := netlink.MarshalAttributes([]netlink.Attribute{a})
		if err != nil {
			return err
		}
		// struct nfgenmsg: family, version, group.
		head := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, firewall.LogGroup)
		if _, err := l.conn.Execute(netlink.Message{
			Header: netlink.Header{Type: configMessage, Flags: netlink.Request | netlink.Acknowledge},
			Data:   append(head, data...),
		}); err != nil {
			return err
		}
	}
	return nil
}

// Close ends Next as well. It can be called several times.
func (l *Listener) Close() {
	l.once.Do(func() {
		_ = l.conn.Close()
		l.links.close()
	})
}

// Next waits for a packet.
func (l *Listener) Next() (firewall.Refused, error) {
	for len(l.waiting) == 0 {
		messages, err := l.conn.Receive()
		if errors.Is(err, unix.ENOBUFS) {
			continue // the numbers tell how many were lost
		}
		if err != nil {
			return firewall.Refused{}, fmt.Errorf("hear of refused packets: %w", err)
		}
		for _, m := range messages {
			if r, ok := l.read(m); ok {
				l.waiting = append(l.waiting, r)
			}
		}
	}
	r := l.waiting[0]
	l.waiting = l.waiting[1:]
	return r, nil
}

// read reads a message; one of another kind is left out.
func (l *Listener) read(m netlink.Message) (r firewall.Refused, ok bool) {
	const head = 4
	if m.Header.Type != packetMessage || len(m.Data) < head {
		return r, false
	}
	attributes, err := netlink.UnmarshalAttributes(m.Data[head:])
	if err != nil {
		return r, false
	}
	r.Time = time.Now()
	values := map[uint16][]byte{}
	for _, a := range attributes {
		if len(a.Data) >= leastBytes(a.Type) {
			values[a.Type] = a.Data
		}
	}
	word := func(kind uint16, read func(uint32)) {
		if v, there := values[kind]; there {
			read(binary.BigEndian.Uint32(v))
		}
	}
	word(attrIn, func(n uint32) { r.In = l.links.of(n) })
	word(attrOut, func(n uint32) { r.Out = l.links.of(n) })
	word(attrCount, func(n uint32) { r.Lost = l.lost(n) })
	if v, there := values[attrTime]; there {
		r.Time = time.Unix(int64(binary.BigEndian.Uint64(v)), int64(binary.BigEndian.Uint64(v[8:]))*1000) //nolint:gosec // a time
	}
	r.Reason, r.Option = firewall.ReadLogPrefix(strings.TrimRight(string(values[attrPrefix]), "\x00 "))
	if r.Option == firewall.Overruled {
		r.Option, r.Overruled = "", true
	}
	if v, there := values[attrHeader]; there {
		decode(&r, binary.BigEndian.Uint16(v), values[attrPayload])
	}
	return r, true
}

// leastBytes is how long an attribute is at least.
func leastBytes(kind uint16) int {
	switch kind {
	case attrTime:
		return 16
	case attrHeader, attrIn, attrOut, attrCount:
		return 4
	}
	return 0
}

// lost is how many packets there were between the last one and this one.
func (l *Listener) lost(number uint32) (n uint64) {
	if l.started {
		n = uint64(number - l.next)
	}
	l.started, l.next = true, number+1
	return n
}
