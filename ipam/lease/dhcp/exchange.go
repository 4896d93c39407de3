package dhcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/ipam/lease"
)

// Times of an exchange. RFC 2131, 4.1 begins with 4 s between two sendings, and doubles that; whoever
// waits for a container does not wait for that long.
const (
	sendAgain = time.Second
	// grace is for a better answer than the first one.
	grace = time.Second
)

// question is a message, and what its answer may be.
type question struct {
	link    string
	message *dhcpv4.DHCPv4
	way
	// judge says what an answer is worth. Its error tells of one that is worth nothing.
	judge func(m *dhcpv4.DHCPv4, via net.HardwareAddr) (worth, error)
}

// worth is that of an answer.
type worth int

const (
	// nothing is passed over, second is taken where grace brings no better one.
	nothing worth = iota
	second
	best
)

// reply is an answer that was taken.
type reply struct {
	message *dhcpv4.DHCPv4
	via     net.HardwareAddr
	// asked is when the question that it answers was sent last.
	asked time.Time
}

// exchange is one under way.
type exchange struct {
	question
	at *socket
	sending
	// fallback is taken at until, if nothing better comes.
	fallback *reply
	until    time.Time
	// trouble is the last thing that went wrong.
	trouble error
}

// sending says when a question was sent first and last, when to send it again, and how long to wait
// then.
type sending struct {
	begun, sent, again time.Time
	pause              time.Duration
}

// ask sends a question until there is an answer, or ctx ends.
func ask(ctx context.Context, q question) (reply, error) {
	at, err := listen(q.link)
	if err != nil {
		return reply{}, err
	}
	defer at.close()
	if q.fromMAC == nil {
		q.fromMAC = at.link.HardwareAddr
		q.message.ClientHWAddr = q.fromMAC
	}
	if len(q.fromMAC) != macLen {
		return reply{}, fmt.Errorf("link %s has no hardware address of Ethernet: name one that leads to a LAN", q.link)
	}
	x := &exchange{question: q, at: at, sending: sending{begun: time.Now(), pause: sendAgain}}
	// Reading ends with ctx.
	defer context.AfterFunc(ctx, func() { _ = at.file.SetReadDeadline(time.Now()) })()
	end, bounded := ctx.Deadline()
	for ctx.Err() == nil {
		if !bounded {
			end = time.Now().Add(sendAgain)
		}
		if done := x.turn(end); done != nil {
			return *done, nil
		}
	}
	if x.fallback != nil {
		return *x.fallback, nil
	}
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return reply{}, ctx.Err()
	}
	if x.trouble != nil {
		return reply{}, fmt.Errorf("%w (%w)", lease.ErrSilent, x.trouble)
	}
	return reply{}, lease.ErrSilent
}

// turn sends if it is time to, and reads one frame until end.
func (x *exchange) turn(end time.Time) *reply {
	now := time.Now()
	if x.fallback != nil && !now.Before(x.until) {
		return x.fallback
	}
	if !now.Before(x.again) {
		x.message.NumSeconds = uint16(now.Sub(x.begun) / time.Second)
		x.sent, x.again = now, now.Add(x.pause)
		x.pause *= 2
		if err := x.at.send(x.frame(x.message.ToBytes())); err != nil {
			x.trouble = err
		}
	}
	wait := x.again
	if end.Before(wait) {
		wait = end
	}
	if x.fallback != nil && x.until.Before(wait) {
		wait = x.until
	}
	f, err := x.at.receive(wait)
	if err != nil {
		// A link that goes down says so once, and hears again when it is up.
		if !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, unix.ENETDOWN) {
			x.trouble = err
		}
		return nil
	}
	return x.weigh(f)
}

// weigh returns an answer that is to be taken now.
func (x *exchange) weigh(f []byte) *reply {
	payload, via, ok := answer(f)
	if !ok {
		return nil
	}
	m, err := dhcpv4.FromBytes(bytes.Clone(payload))
	if err != nil || m.OpCode != dhcpv4.OpcodeBootReply || m.TransactionID != x.message.TransactionID || !bytes.Equal(m.ClientHWAddr, x.fromMAC) {
		return nil
	}
	is, err := x.judge(m, via)
	if err != nil {
		x.trouble = err
	}
	r := &reply{message: m, via: bytes.Clone(via), asked: x.sent}
	switch {
	case is == best:
		return r
	case is == second && x.fallback == nil:
		x.fallback, x.until = r, time.Now().Add(grace)
	}
	return nil
}
