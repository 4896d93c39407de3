package firewall

import (
	"net/netip"
	"strings"
	"time"

	"github.com/gangway-net/gangway/driver/policy"
	"github.com/gangway-net/gangway/driver/spec"
)

// LogGroup is the netlink group (nflog) that Log is about; no other program is known to use
// it. One program at a time can listen to it.
const LogGroup = 26487

// What the kernel tells at most for each reason: LogRate packets a second, after LogBurst at
// once, and LogBytes of each.
const (
	LogRate  = 50
	LogBurst = 100
	LogBytes = 128
)

// Log is that the rules tell LogGroup of the packets that they refuse, with the Reason as
// prefix. It is there while somebody looks: no rule of it is on the way of a packet otherwise,
// and at no time on the way of one that is accepted.
type Log struct{}

// Kind and Key make Log an Object.
func (l Log) Kind() spec.Kind { return "log of refused packets" }

// Key is the log itself.
func (l Log) Key() any { return l }

// String names the group.
func (l Log) String() string { return "log of refused packets" }

// Overruled stands in the place of an option in what the kernel puts before a packet that was
// refused, and that the administrator's rules have accepted after all.
const Overruled policy.Option = "overruled"

// LogPrefix is what the kernel puts before a packet; ReadLogPrefix reads it.
func LogPrefix(reason Reason, option policy.Option) string {
	return strings.TrimSpace(string(reason) + " " + string(option))
}

// ReadLogPrefix is explained with LogPrefix.
func ReadLogPrefix(prefix string) (Reason, policy.Option) {
	reason, option, _ := strings.Cut(prefix, " ")
	return Reason(reason), policy.Option(option)
}

// Answer has the addresses of a name. Server is who has said so, unless the host asks it as well.
type Answer struct {
	Addrs  []netip.Addr
	Server netip.Addr
}

// Refused is one packet that was refused, as the kernel tells of it.
type Refused struct {
	Time   time.Time
	Reason Reason
	// Option is that of the policy which has refused it; empty for other reasons.
	Option policy.Option
	// Overruled says that rules of the administrator have accepted it after all: what was told
	// of it before is not so.
	Overruled bool
	// In and Out are the links that it came by and was to leave by; empty for unknown.
	In, Out string
	// Protocol is a name, such as tcp, or a number. Ports are 0 where there are none.
	Protocol string
	From, To netip.AddrPort
	// Name is the one that was asked for, of a question for a name.
	Name string
	// Answer is what it got where it was answered nevertheless; nil for none.
	Answer *Answer
	// Lost is how many others nobody was told of before this one, as they came too fast.
	Lost uint64
}
