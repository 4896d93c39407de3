package doctor

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Requests and answers of sock_diag, of linux/sock_diag.h and linux/inet_diag.h.
const (
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	// TCP_LISTEN, and TCP_CLOSE of UDP sockets that are not connected.
	stateListen, stateClose = 10, 7
	sizeofDiagRequest       = 56
	sizeofDiagSocket        = 72
	// Where an answer has port, address, and the two lengths of its queue.
	diagPort, diagAddress, diagWaiting, diagQueue = 4, 8, 56, 60
	// diagV6Only is INET_DIAG_SKV6ONLY.
	diagV6Only = 11
)

// stuckTime is how long a program may leave a connection waiting before it is said to be
// stuck, and stuckLook how often is looked.
const (
	stuckTime = 500 * time.Millisecond
	stuckLook = 50 * time.Millisecond
)

// listeners lists the sockets of the thread's namespace that wait for clients, and why those
// of a protocol could not be listed.
func listeners() (all []Listener, failed map[string]error) {
	failed = map[string]error{}
	for protocol, number := range map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP} {
		some, err := bothFamilies(protocol, number)
		if err != nil {
			failed[protocol] = err
			continue
		}
		all = append(all, some...)
	}
	some, err := readSCTP("/proc/thread-self/net/sctp/eps")
	if err != nil {
		failed["sctp"] = err
	}
	return append(all, some...), failed
}

func bothFamilies(protocol string, number byte) (all []Listener, err error) {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		some, err := diagnose(family, protocol, number)
		switch {
		case family == unix.AF_INET6 && errors.Is(err, unix.ENOENT): // there is no IPv6
		case errors.Is(err, unix.ENOENT):
			return nil, fmt.Errorf("%w; load the module %s_diag", err, protocol)
		case err != nil:
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// diagnose asks the kernel for the sockets of a family and protocol. The files in /proc/net
// are the rejected alternative: they tell neither whether a socket of [::] takes IPv4, nor how
// long its queue is.
func diagnose(family byte, protocol string, number byte) (all []Listener, err error) {
	state := stateListen
	if protocol == "udp" {
		state = stateClose
	}
	ask := make([]byte, sizeofDiagRequest)
	ask[0], ask[1] = family, number
	binary.NativeEndian.PutUint32(ask[4:], 1<<state)
	r := nl.NewNetlinkRequest(diagByFamily, unix.NLM_F_DUMP)
	r.AddRawData(ask)
	err = r.ExecuteIter(unix.NETLINK_INET_DIAG, 0, func(m []byte) bool {
		if l, ok := parseDiag(m, protocol); ok {
			all = append(all, l)
		}
		return true
	})
	_, err = complete(all, err)
	return all, err
}

// parseDiag reads one socket.
func parseDiag(m []byte, protocol string) (l Listener, ok bool) {
	if len(m) < sizeofDiagSocket {
		return l, false
	}
	port := binary.BigEndian.Uint16(m[diagPort:])
	at := netip.AddrFrom4([4]byte(m[diagAddress:]))
	if m[0] == unix.AF_INET6 {
		at = netip.AddrFrom16([16]byte(m[diagAddress:]))
	}
	l = Listener{Protocol: protocol, Addr: netip.AddrPortFrom(at.Unmap(), port)}
	if protocol == "tcp" {
		l.Waiting = int(binary.NativeEndian.Uint32(m[diagWaiting:]))
		l.Queue = int(binary.NativeEndian.Uint32(m[diagQueue:]))
	}
	if at == netip.IPv6Unspecified() {
		l.Both = true
		attrs, err := nl.ParseRouteAttr(m[sizeofDiagSocket:])
		for _, a := range attrs {
			if err == nil && a.Attr.Type == diagV6Only && len(a.Value) > 0 {
				l.Both = a.Value[0] == 0
			}
		}
	}
	return l, port != 0
}

// stuck looks again at sockets with connections that nobody has accepted, until something was
// accepted or stuckTime is over.
func stuck(all []Listener) {
	for end := time.Now().Add(stuckTime); time.Now().Before(end); {
		waiting := false
		for _, l := range all {
			waiting = waiting || l.Waiting > 0
		}
		if !waiting {
			return
		}
		<-time.After(stuckLook)
		now, err := bothFamilies("tcp", unix.IPPROTO_TCP)
		if err != nil {
			return
		}
		left := map[netip.AddrPort]int{}
		for _, l := range now {
			left[l.Addr] = l.Waiting
		}
		for i, l := range all {
			all[i].Stuck = l.Waiting > 0 && left[l.Addr] >= l.Waiting
			if !all[i].Stuck {
				all[i].Waiting = 0
			}
		}
	}
}

// readSCTP reads the endpoints of SCTP (net/sctp/proc.c): their addresses follow the
// seven fields that describe them and the port. Without the module nobody listens.
func readSCTP(path string) (all []Listener, err error) {
	f, err := os.Open(path) //nolint:gosec // one of ours
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EINVAL) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 9 {
			continue
		}
		port, err := strconv.ParseUint(fields[5], 10, 16)
		if err != nil {
			continue
		}
		for _, text := range fields[8:] {
			if a, err := netip.ParseAddr(strings.TrimSuffix(text, "*")); err == nil {
				all = append(all, Listener{Protocol: "sctp", Addr: netip.AddrPortFrom(a, uint16(port)), Both: a == netip.IPv6Unspecified()})
			}
		}
	}
	return all, lines.Err()
}
