package hostport

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// ConflictError says that a host port is held by somebody else. It unwraps to
// EADDRINUSE.
type ConflictError struct {
	Proto  spec.Protocol
	HostIP netip.Addr
	// Port is the one that is held. If none of a choice was free, it is the
	// first one of First..Last; both are 0 for a fixed port.
	Port, First, Last uint16
	// Owner is the id of the endpoint that holds it; empty if none does.
	Owner string
	// Process names the process that holds it, such as "nginx (pid 12)";
	// empty if it is unknown.
	Process string

	// self says that Owner is who asked.
	self bool
}

// Error names the port, the holder and the next step.
func (e *ConflictError) Error() string {
	what := e.key().String()
	if e.First != 0 {
		ports := key{ip: e.HostIP, port: e.First, proto: e.Proto}
		what = fmt.Sprintf("%s-%d: no free port, %d is", ports, e.Last, e.Port)
	} else {
		what += ":"
	}
	switch {
	case e.self:
		return fmt.Sprintf("reserve %s published twice by this endpoint; publish another port", what)
	case e.Owner != "":
		return fmt.Sprintf("reserve %s in use by endpoint %s; stop it or publish another port", what, short(e.Owner))
	case e.Process != "":
		return fmt.Sprintf("reserve %s in use by %s; stop it or publish another port", what, e.Process)
	}
	return fmt.Sprintf("reserve %s in use by another process; stop it or publish another port", what)
}

// Unwrap makes errors.Is(err, EADDRINUSE) true.
func (e *ConflictError) Unwrap() error { return unix.EADDRINUSE }

func (e *ConflictError) key() key { return key{ip: e.HostIP, port: e.Port, proto: e.Proto} }
