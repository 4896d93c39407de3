package firewall

import (
	"context"
	"net/netip"

	"github.com/gangway-net/gangway/driver/policy"
)

// Reason says why a packet was refused.
type Reason string

// The reasons. A packet has one, the first that is met.
const (
	// Spoofed is a source that cannot come by the link that it came by: an address of a
	// network by another link, or what the filter of a container's port has dropped.
	// Packets of containers to 127.0.0.0/8 may count as such, too.
	Spoofed Reason = "spoofed"
	// Unpublished came from outside, into a network, to what is not published.
	Unpublished Reason = "unpublished"
	// Isolated is between two networks, to or from a foreign bridge, or to or from an
	// internal network.
	Isolated Reason = "isolated"
	// NoICC is between containers of a network that has no ICC.
	NoICC Reason = "icc"
	// Policy is what a network's or a container's policy does not allow.
	Policy Reason = "policy"
	// Audited is what it would not allow, but in its mode audit lets pass.
	Audited Reason = "audit"
	// Limited is a connection that a policy allows, beyond those that a container may have
	// through the daemon at a time.
	Limited Reason = "limit"
)

// Reasons lists all of them.
func Reasons() []Reason {
	return []Reason{Spoofed, Unpublished, Isolated, NoICC, Policy, Audited, Limited}
}

// Refusal is how often the rules have refused something since they were made. That
// number goes back when rules or what counts them are made anew.
type Refusal struct {
	// Counter tells what counts from all else that does, for as long as it does.
	Counter string
	Reason  Reason
	// Option is that of the policy which has refused it; empty for other reasons.
	Option policy.Option
	// Bridge is the link of the network that the packets were to enter, or else came from;
	// of an internal network and another one, the internal one's; of packets with a
	// network's address by another link, that network's. It may be no network's, and is
	// empty where that is not counted.
	Bridge string
	// Addr is the container's address on that network, or the one that was claimed;
	// invalid where the backend counts by network alone. It may be of no container.
	Addr netip.Addr
	// Packets were refused, Overruled of them accepted after all by the
	// administrator's rules.
	Packets, Overruled uint64
}

// Counter tells what the rules have refused. No packet that they accept takes part in it;
// one that the administrator's rules accept against them may.
type Counter interface {
	// Refused returns the numbers since the rules were made, each Counter at most once. It
	// holds up no change of the rules.
	Refused(ctx context.Context) ([]Refusal, error)
}
