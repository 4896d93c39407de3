package link

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// Requests and answers of sock_diag, of linux/sock_diag.h and linux/inet_diag.h.
const (
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	// diagBytecode is INET_DIAG_REQ_BYTECODE, the others INET_DIAG_BC_S_GE
	// and INET_DIAG_BC_S_LE.
	diagBytecode            = 1
	portAtLeast, portAtMost = 2, 3
	// The states of sockets that wait: TCP_LISTEN, and TCP_CLOSE of UDP that is not
	// connected.
	stateListen, stateClose = 10, 7

	sizeofDiagRequest = 56
	sizeofDiagSocket  = 72
	// Where an answer has the port and the address of the socket.
	diagPort, diagAddress = 4, 8
)

// Listening returns the TCP and UDP ports from first on where sockets of the namespace
// wait for whoever sends there, those of the kernel (WireGuard, VXLAN) among them. Sockets
// of addresses of 127.0.0.0/8 and ::1 are left out, as only the host itself reaches them,
// and ports of the spans, which are sorted.
func (h *Handle) Listening(ctx context.Context, first uint16, without map[spec.Protocol][]spec.Span) (map[spec.Listener]bool, error) {
	if h.raw[unix.NETLINK_INET_DIAG] == nil {
		return nil, errors.New("list the sockets that listen: the kernel does not know sock_diag (CONFIG_INET_DIAG)")
	}
	found := map[spec.Listener]bool{}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		for proto, state := range map[spec.Protocol]int{spec.TCP: stateListen, spec.UDP: stateClose} {
			err := h.eachSocket(ctx, diagRequest(family, proto, state, portFilter(first, without[proto])), func(port uint16, at netip.Addr) {
				if !at.Unmap().IsLoopback() {
					found[spec.Listener{Proto: proto, Port: port}] = true
				}
			})
			switch {
			case family == unix.AF_INET6 && errors.Is(err, unix.ENOENT): // there is no IPv6
			case errors.Is(err, unix.ENOENT):
				return nil, fmt.Errorf("list the %s sockets that listen: %w; load the module %s_diag", proto, err, proto)
			case err != nil:
				return nil, fmt.Errorf("list the %s sockets that listen: %w", proto, err)
			}
		}
	}
	return found, nil
}

// diagRequest asks for the sockets of a family, protocol and state that pass the filter.
func diagRequest(family uint8, proto spec.Protocol, state int, filter []byte) []byte {
	b := make([]byte, sizeofDiagRequest)
	b[0], b[1] = family, byte(proto)
	binary.NativeEndian.PutUint32(b[4:], 1<<state)
	return append(b, nl.NewRtAttr(diagBytecode, filter).Serialize()...)
}

// maxSpans is how many spans the kernel leaves out: each costs each socket a moment.
const maxSpans = 64

// portFilter is a program for the kernel that passes ports from first on, but for the
// longest of the spans. Its operations are struct inet_diag_bc_op and have 8 bytes: they
// compare a port, and say how far to go on if that is so and if not. What ends behind the
// program by 4 bytes is refused.
func portFilter(first uint16, without []spec.Span) []byte {
	without = slices.Clone(without)
	slices.SortFunc(without, func(a, b spec.Span) int { return cmp.Compare(b.Last-b.First, a.Last-a.First) })
	without = without[:min(len(without), maxSpans)]
	const size, refuse = 8, 0
	type operation struct {
		code     byte
		port, no uint16
	}
	program := []operation{{portAtLeast, first, refuse}}
	for _, s := range without {
		if s.Last == 1<<16-1 {
			program = append(program, operation{portAtMost, s.First - 1, refuse})
			continue
		}
		program = append(program, operation{portAtLeast, s.First, 2 * size}, operation{portAtLeast, s.Last + 1, refuse})
	}
	var b []byte
	for n, o := range program {
		if o.no == refuse {
			o.no = uint16((len(program)-n)*size + 4) //nolint:gosec // of 130 operations at most
		}
		b = append(b, o.code, size)
		b = binary.NativeEndian.AppendUint16(b, o.no)
		b = append(b, 0, 0)
		b = binary.NativeEndian.AppendUint16(b, o.port)
	}
	return b
}

// eachSocket calls do with the port and address of each socket that the kernel answers.
func (h *Handle) eachSocket(ctx context.Context, request []byte, do func(port uint16, at netip.Addr)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := nl.NewNetlinkRequest(diagByFamily, unix.NLM_F_DUMP)
	r.Sockets = h.raw
	r.AddRawData(request)
	var failed error
	err := r.ExecuteIter(unix.NETLINK_INET_DIAG, 0, func(m []byte) bool {
		if len(m) < sizeofDiagSocket {
			failed = fmt.Errorf("an answer of %d bytes", len(m))
			return false
		}
		at := netip.AddrFrom4([4]byte(m[diagAddress:]))
		if m[0] == unix.AF_INET6 {
			at = netip.AddrFrom16([16]byte(m[diagAddress:]))
		}
		do(binary.BigEndian.Uint16(m[diagPort:]), at)
		return true
	})
	if errors.Is(err, nl.ErrDumpInterrupted) {
		err = nil // sockets come and go
	}
	return errors.Join(failed, err)
}
