package doctor

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// lookAtWays asks the kernel where packets to containers go, and those back to the client.
func (f *Facts) lookAtWays(kernel *netlink.Handle, t Target) {
	f.Host.Ways, f.Client.Answers = map[netip.Addr]Way{}, map[netip.Addr]Way{}
	to := f.Client.Addr
	if to.IsValid() {
		var err error
		if f.Client.Way, err = way(kernel, to, nil, f.Host.linkAt); err != nil {
			f.note("the way to "+to.String(), err)
			f.Client.Addr = netip.Addr{}
		}
	}
	for _, e := range f.State.Endpoints {
		if e.Sandbox == "" || !t.endpoint(*f, e) {
			continue
		}
		for _, p := range e.Addresses {
			a := p.Addr()
			w, err := way(kernel, a, nil, f.Host.linkAt)
			if err != nil {
				f.note("the way to "+a.String(), err)
				continue
			}
			f.Host.Ways[a] = w
			if !to.IsValid() || to.Is6() != a.Is6() {
				continue
			}
			w, err = way(kernel, to, &passage{Iif: e.Bridge, SrcAddr: a.AsSlice()}, f.Host.linkAt)
			if err != nil {
				f.note(fmt.Sprintf("the way from %s to %s", a, to), err)
				continue
			}
			f.Client.Answers[a] = w
		}
	}
}

// passage says what is forwarded: from where, and by which link it came.
type passage = netlink.RouteGetOptions //nolint:forbidigo // a type, and no call on a shared handle

// way asks for one, as "ip route get" does; linkAt names links. That there is none is no
// error.
func way(kernel *netlink.Handle, to netip.Addr, o *passage, linkAt func(int) string) (w Way, err error) {
	routes, err := kernel.RouteGetWithOptions(to.AsSlice(), o)
	refusals := []error{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EXDEV}
	if errors.Is(err, unix.EINVAL) {
		return Way{Refused: "a route throws it away, or its source is refused"}, nil // as of a blackhole, or of rp_filter
	}
	if slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) }) {
		return Way{Refused: err.Error()}, nil
	}
	if err != nil || len(routes) == 0 {
		return w, err
	}
	switch r := routes[0]; r.Type {
	case unix.RTN_UNREACHABLE, unix.RTN_BLACKHOLE, unix.RTN_PROHIBIT:
		return Way{Refused: "a route refuses it"}, nil
	default:
		return Way{Link: linkAt(r.LinkIndex), MTU: r.MTU}, nil
	}
}

// reversed reads IPReversePathFilter of a file as /proc/net/netstat: two lines for each
// group, with names and with numbers.
func reversed(path string) (int, error) {
	f, err := os.Open(path) //nolint:gosec // one of ours
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	var names []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if i := slices.Index(names, "IPReversePathFilter"); i > 0 && len(fields) == len(names) {
			return strconv.Atoi(fields[i])
		}
		names = fields
	}
	return 0, errors.Join(errors.New("the kernel does not count them"), lines.Err())
}
