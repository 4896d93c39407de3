package link

import (
	"context"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink/nl"

	"github.com/gangway-net/gangway/driver/spec"
)

// ReparseLoan reads a record and writes it again.
func ReparseLoan(altName string) (string, bool) {
	id, l, ok := parseLoan(altName)
	return l.altName(id), ok
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

// GuardOf finds the links of a pair that has no guard, and returns what gives it
// one.
func (h *Handle) GuardOf(v spec.Veth) (func() error, error) {
	host, err := h.find(v.Host)
	if err != nil {
		return nil, err
	}
	bridge, err := h.find(v.Bridge)
	return func() error { return h.guardNew(host, bridge, v) }, err
}
