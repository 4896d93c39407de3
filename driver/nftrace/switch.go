package nftrace

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Prefix begins the names of tables of a Switch.
const Prefix = "gangway-trace"

// Flow says which packets are traced; of TCP those that open a connection, since what
// follows them is accepted by other rules. What is zero or invalid may be anything.
type Flow struct {
	Protocol byte
	// Source and Destination are as the sender has them, before any translation. They
	// are of the same family.
	Source, Destination netip.Addr
	// SourcePort and Port are those of either end.
	SourcePort, Port uint16
}

// Switch has tracing turned on for a flow, in the network namespace of the thread that
// made it.
type Switch struct {
	link *netlink.Conn
	name string
	// Bridged says whether frames that only pass a bridge are traced as well: kernels may
	// lack nf_tables for bridges.
	Bridged bool
}

// The chains of the table.
const (
	chainIn, chainOut = "prerouting", "output"
	chainEnd, chainUp = "postrouting", "input"
)

// flagOwner is NFT_TABLE_F_OWNER (Linux 5.12), which package unix lacks.
const flagOwner = 0x2

// ErrNoOwner says that the kernel has no tables that go with their owner.
var ErrNoOwner = errors.New("the kernel has no tables that go with the process that made them (Linux 5.12 does)")

// ErrUnsupported says that the kernel has no nf_tables.
var ErrUnsupported = errors.New("the kernel has no nf_tables")

// connectError is one of making a socket of nfnetlink, which a kernel may lack.
func connectError(what string, err error) error {
	if errors.Is(err, unix.EPROTONOSUPPORT) {
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return fmt.Errorf("%s nf_tables: %w", what, err)
}

// On turns tracing on.
func On(f Flow) (*Switch, error) {
	link, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, connectError("connect to", err)
	}
	s := &Switch{link: link}
	port, err := s.port()
	if err == nil {
		s.name = fmt.Sprintf("%s-%d", Prefix, port)
		err = s.on(f)
	}
	if err != nil {
		s.Off()
		return nil, err
	}
	return s, nil
}

// port is the connection's number, which no other one in the namespace has: two traces have
// two tables.
func (s *Switch) port() (port uint32, err error) {
	raw, err := s.link.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("connect to nf_tables: %w", err)
	}
	var name unix.Sockaddr
	var nameErr error
	err = raw.Control(func(fd uintptr) { name, nameErr = unix.Getsockname(int(fd)) }) //nolint:gosec // a descriptor
	if err = errors.Join(err, nameErr); err != nil {
		return 0, fmt.Errorf("connect to nf_tables: %w", err)
	}
	if own, ok := name.(*unix.SockaddrNetlink); ok {
		port = own.Pid
	}
	return port, nil
}

// Off turns it off: the table goes with the connection.
func (s *Switch) Off() { _ = s.link.Close() }

// Own says whether a step is one of the switch itself.
func (s *Switch) Own(e Event) bool { return e.Table == s.name }

// Starts says whether a step is where tracing was turned on: the packet's first at a
// hook.
func (s *Switch) Starts(e Event) bool {
	return s.Own(e) && e.Matched() && (e.Chain == chainIn || e.Chain == chainOut)
}

// Ends says whether a step is behind all other chains of a packet's last hook, and up
// whether a program of the host gets it.
func (s *Switch) Ends(e Event) (ends, up bool) {
	if !s.Own(e) || e.Kind != Policy {
		return false, false
	}
	up = e.Chain == chainUp
	return up || e.Chain == chainEnd, up
}

// on makes the tables. All rules come in the last transaction, when all chains are there:
// a packet that starts to be traced is traced to its end.
func (s *Switch) on(f Flow) error {
	bridges := batch{family: unix.NFPROTO_BRIDGE}
	bridges.begin()
	// What bridges hand up comes to the other table.
	bridges.table(s.name, firstHooks()...)
	bridges.end()
	s.Bridged = s.send(bridges) == nil
	b := batch{family: unix.NFPROTO_INET}
	b.begin()
	b.table(s.name, append(firstHooks(), hook{chainUp, unix.NF_INET_LOCAL_IN, math.MaxInt32})...)
	families := []byte{unix.NFPROTO_INET}
	if s.Bridged {
		families = append(families, unix.NFPROTO_BRIDGE)
	}
	for _, b.family = range families {
		for _, chain := range []string{chainIn, chainOut} {
			if err := b.rule(s.name, chain, f.expressions(b.family)); err != nil {
				return fmt.Errorf("make a rule that traces: %w", err)
			}
		}
	}
	b.end()
	return s.send(b)
}

// firstHooks are those of both tables: before and behind all other chains. Hooks of bridges
// have the same numbers.
func firstHooks() []hook {
	return []hook{
		{chainIn, unix.NF_INET_PRE_ROUTING, math.MinInt32}, {chainOut, unix.NF_INET_LOCAL_OUT, math.MinInt32},
		{chainEnd, unix.NF_INET_POST_ROUTING, math.MaxInt32},
	}
}

// send hands over a transaction, and returns what the kernel refused first.
func (s *Switch) send(b batch) error {
	_, err := s.link.SendMessages(b.messages)
	if err == nil {
		err = s.hear()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("turn tracing on: %w: run as root", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		// Old kernels say EINVAL to flags of tables that they do not know.
		if !hasTables() {
			return fmt.Errorf("turn tracing on: %w: %w", ErrUnsupported, err)
		}
		return fmt.Errorf("turn tracing on: %w: %w", ErrNoOwner, err)
	}
	return fmt.Errorf("turn tracing on: %w", err)
}

// hear returns the first refusal of what was sent. The kernel answers in order: nothing of
// a transaction comes behind the answer to a question that follows it.
func (s *Switch) hear() (refused error) {
	end, err := s.link.Send(askGeneration())
	if err != nil {
		return err
	}
	if err = s.link.SetReadDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	for {
		answers, err := s.link.Receive()
		refused = cmp.Or(refused, err)
		switch broken := (*os.SyscallError)(nil); {
		case errors.As(err, &broken), errors.Is(err, os.ErrDeadlineExceeded):
			return refused
		case errors.Is(err, unix.EPERM), errors.Is(err, unix.EOPNOTSUPP) && !hasTables():
			return refused // the question is refused as well
		}
		if slices.ContainsFunc(answers, func(m netlink.Message) bool { return m.Header.Sequence == end.Header.Sequence }) {
			return refused
		}
	}
}

// answerTime bounds the wait for the kernel's answers; it gives them at once.
const answerTime = 5 * time.Second

func askGeneration() netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request}, Data: make([]byte, 4),
	}
}

// hasTables says whether nf_tables answers at all, on a connection without answers of
// before.
func hasTables() bool {
	link, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return false
	}
	defer func() { _ = link.Close() }()
	_, err = link.Execute(askGeneration())
	return err == nil
}

// The flags of TCP that tell an opening packet (RFC 9293).
const flagSYN, flagRST, flagACK = 0x02, 0x04, 0x10

// expressions match the flow and turn tracing on.
func (f Flow) expressions(family byte) (all []expr.Any) {
	is := func(load expr.Any, want []byte) {
		all = append(all, load, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: want})
	}
	six := f.Source.Is6() || f.Destination.Is6()
	proto, ether, source, destination, size := byte(unix.NFPROTO_IPV4), uint16(unix.ETH_P_IP), uint32(12), uint32(16), uint32(4)
	if six {
		proto, ether, source, destination, size = unix.NFPROTO_IPV6, unix.ETH_P_IPV6, 8, 24, 16
	}
	if family == unix.NFPROTO_BRIDGE {
		is(&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1}, binary.BigEndian.AppendUint16(nil, ether))
	} else {
		is(&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}, []byte{proto})
	}
	if f.Protocol != 0 {
		is(&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, []byte{f.Protocol})
	}
	for _, a := range []struct {
		addr netip.Addr
		at   uint32
	}{{f.Source, source}, {f.Destination, destination}} {
		if a.addr.IsValid() {
			is(&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: a.at, Len: size}, a.addr.WithZone("").AsSlice())
		}
	}
	for at, port := range []uint16{f.SourcePort, f.Port} {
		if port != 0 {
			is(&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: uint32(at) * 2, Len: 2}, binary.BigEndian.AppendUint16(nil, port)) //nolint:gosec // 0 or 1
		}
	}
	if f.Protocol == unix.IPPROTO_TCP {
		all = append(all, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
			&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{flagSYN | flagRST | flagACK}, Xor: []byte{0}},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{flagSYN}})
	}
	return append(all, &expr.Immediate{Register: 1, Data: []byte{1}}, &expr.Meta{Key: expr.MetaKeyNFTRACE, SourceRegister: true, Register: 1})
}
