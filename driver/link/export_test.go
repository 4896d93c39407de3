package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/bpfprog"
	"github.com/gangway-net/gangway/driver/spec"
)

// ReparseLoan reads a record and writes it again.
func ReparseLoan(altName string) (string, bool) {
	id, l, ok := parseLoan(altName)
	return l.altName(id), ok
}

// WithoutAltNames makes the kernel one that has no alternative names, before Linux
// 5.5.
func (h *Handle) WithoutAltNames() {
	h.addAltName = func(netlink.Link, string) error { return unix.EOPNOTSUPP }
}

// Interrupted runs dump on a listing that is interrupted the first n times,
// and returns how often it was asked.
func Interrupted(ctx context.Context, n int) (asked int, err error) {
	_, err = dump(ctx, "things", func() (int, error) {
		asked++
		if asked <= n {
			return 0, nl.ErrDumpInterrupted
		}
		return asked, nil
	})
	return asked, err
}

// ParseAddress is parseAddress.
func ParseAddress(m []byte) (string, error) {
	a, err := parseAddress(m)
	return a.String(), err
}

// GratuitousARP is gratuitousARP.
func GratuitousARP(a netip.Addr, mac net.HardwareAddr) []byte { return gratuitousARP(a, mac) }

// UnsolicitedAdvertisement is unsolicitedAdvertisement.
func UnsolicitedAdvertisement(a netip.Addr, mac net.HardwareAddr) []byte {
	return unsolicitedAdvertisement(a, mac)
}

// Checksum is checksum.
func Checksum(b []byte) uint16 { return checksum(b) }

// Claim is claim.
func Claim(frame []byte) (netip.Addr, net.HardwareAddr) { return claim(frame) }

// Questions are the frames that ask for an address and those that announce it.
func Questions(a netip.Addr, mac net.HardwareAddr) (ask, announce []byte) {
	if a.Is6() {
		return solicit(a, mac), unsolicitedAdvertisement(a, mac)
	}
	return requestARP(netip.IPv4Unspecified(), a, mac), gratuitousARP(a, mac)
}

// FilterOf finds the links of a pair that has no filter, and returns what gives it
// one.
func (h *Handle) FilterOf(v spec.Veth) (func() error, error) {
	host, err := h.find(v.Host)
	if err != nil {
		return nil, err
	}
	bridge, err := h.find(v.Bridge)
	return func() error { return h.filterNew(host, bridge, v) }, err
}

// Book returns the IPv4 addresses of all links as the book has them, and as the
// kernel lists them, sorted.
func (h *Handle) Book(ctx context.Context) (book, kernel []string, err error) {
	kept, err := h.addresses4(ctx)
	if err != nil {
		return nil, nil, err
	}
	listed, err := h.addresses(ctx, nil, unix.AF_INET)
	return lines(kept), lines(listed), err
}

// Listed says whether the book follows the kernel, rather than having to ask for a
// list.
func (h *Handle) Listed() bool { return h.book.listed }

func lines(all []address) []string {
	found := make([]string, 0, len(all))
	for _, a := range all {
		found = append(found, fmt.Sprintf("%d: %s peer %s scope %d flags %x", a.link, a.Prefix, a.peer, a.scope, a.flags))
	}
	slices.Sort(found)
	return found
}

// RequestARP is requestARP.
func RequestARP(sender, target netip.Addr, mac net.HardwareAddr) []byte {
	return requestARP(sender, target, mac)
}

// Discovery is discovery.
func Discovery(mac net.HardwareAddr, from, to netip.Addr, icmp []byte) []byte {
	return discovery(mac, from, to, icmp)
}

// AnswersOnly is answersOnly.
func AnswersOnly() *bpfprog.Program { return answersOnly() }

// Unfit is unfit for a link of a kind.
func Unfit(name, kind, sysfs string) string {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.EncapType = name, "ether"
	return unfit(&netlink.GenericLink{LinkAttrs: attrs, LinkType: kind}, sysfs)
}

// StopBefore ends the process, as it were, before the nth change of what is somebody else's: that
// change and all later ones do not come about. It counts from 0.
func (h *Handle) StopBefore(n int) {
	h.before = func() error {
		if n--; n < 0 {
			return errStopped
		}
		return nil
	}
}

// KillBefore ends the process as kill -9 does, before the nth change of what is somebody else's.
func (h *Handle) KillBefore(n int) {
	h.before = func() error {
		if n--; n >= 0 {
			return nil
		}
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
}

var errStopped = errors.New("the process has ended")

// Stopped says whether an error is that of StopBefore.
func Stopped(err error) bool { return errors.Is(err, errStopped) }
