package reader

import (
	"errors"
	"io"
	"math"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/policy"
)

// flow is one connection of a client, with the one that goes on from here.
type flow struct {
	link     int
	from, to netip.AddrPort
	client   *net.TCPConn

	// mu guards the rest.
	mu sync.Mutex
	// names are those that it has said, each once.
	names  []string
	server *net.TCPConn
	ended  bool
}

func (f *flow) packet() policy.Packet {
	f.mu.Lock()
	defer f.mu.Unlock()
	return policy.Packet{From: f.from.Addr(), To: f.to.Addr(), Proto: unix.IPPROTO_TCP, Port: f.to.Port(), Names: slices.Clone(f.names)}
}

func (f *flow) says(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.names, name) {
		f.names = append(f.names, name)
	}
}

func (f *flow) said(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.names, name)
}

// goesOn notes the connection to the server, unless the flow has been reset meanwhile.
func (f *flow) goesOn(server *net.TCPConn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.server = server
	return !f.ended
}

// passedOn says that it goes on: until then nobody knows what it says.
func (f *flow) passedOn() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.server != nil
}

// reset ends both connections so that the peers see broken ones.
func (f *flow) reset() {
	f.mu.Lock()
	server := f.server
	f.ended = true
	f.mu.Unlock()
	if reset(f.client); server != nil {
		reset(server)
	}
}

// idle is how long nothing has come by either connection.
func (f *flow) idle() time.Duration {
	f.mu.Lock()
	server := f.server
	f.mu.Unlock()
	least := sinceReceived(f.client)
	if server != nil {
		least = min(least, sinceReceived(server))
	}
	return least
}

func sinceReceived(c syscall.Conn) (since time.Duration) {
	since = math.MaxInt64
	raw, err := c.SyscallConn()
	if err != nil {
		return since
	}
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil { //nolint:gosec // a descriptor
			since = time.Duration(info.Last_data_recv) * time.Millisecond
		}
	})
	return since
}

// forward copies until one side has ended, and passes the end on. A side that is broken breaks
// both.
func (f *flow) forward(to *net.TCPConn, from io.Reader) {
	_, err := io.Copy(to, from) // between sockets it is splice(2): the data never enters the process
	if err == nil {
		err = to.CloseWrite()
	}
	// ENOTCONN says that the other side has gone already; that direction learns it by itself.
	if err != nil && !errors.Is(err, unix.ENOTCONN) {
		f.reset()
	}
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}
