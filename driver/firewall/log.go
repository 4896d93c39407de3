package firewall

import (
	"net/netip"
	"time"

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

// Refused is one packet that was refused, as the kernel tells of it.
type Refused struct {
	Time   time.Time
	Reason Reason
	// In and Out are the links that it came by and was to leave by; empty for unknown.
	In, Out string
	// Protocol is a name, such as tcp, or a number. Ports are 0 where there are none.
	Protocol string
	From, To netip.AddrPort
	// Name is the one that was asked for, of a question for a name.
	Name string
	// Lost is how many others nobody was told of before this one, as they came too fast.
	Lost uint64
}
