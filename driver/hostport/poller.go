package hostport

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// poller tells handlers that their descriptor can be read, all from one
// goroutine. Ten thousand descriptors cost the kernel's epoll entries and a map
// entry each. The runtime's own poller would cost a goroutine that waits for
// each of them.
//
// The epoll descriptor is itself registered with the runtime's poller, so that
// waiting takes no thread and closing wakes the goroutine.
type poller struct {
	ep   *os.File
	wait syscall.RawConn
	fd   int

	mu       sync.Mutex
	next     uint32
	handlers map[uint32]handler
}

// handler is called by the poller's goroutine alone. It must not block, and
// returns when there is nothing more to read, or after some time: it is called
// again. It may be called once after remove returned.
type handler interface{ ready() }

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err = unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p := &poller{ep: os.NewFile(uintptr(fd), "epoll"), fd: fd, handlers: map[uint32]handler{}}
	// The deadline is none, but can only be set if the runtime polls the file.
	if err = p.ep.SetReadDeadline(time.Time{}); err == nil {
		p.wait, err = p.ep.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: %w", err), p.ep.Close())
	}
	return p, nil
}

// add calls h whenever fd can be read, until remove.
func (p *poller) add(fd int, h handler) (id uint32, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Events carry an id of ours and not the descriptor: its number may belong
	// to something else by the time that an event is looked at.
	for {
		p.next++
		if _, used := p.handlers[p.next]; !used {
			break
		}
	}
	id = p.next
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, event(id, unix.EPOLLIN)); err != nil {
		return 0, fmt.Errorf("epoll: %w", err)
	}
	p.handlers[id] = h
	return id, nil
}

// remove ends the calls of a handler. The descriptor has to be closed then, which
// takes it out of the kernel's list, or to be detached.
func (p *poller) remove(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.handlers, id)
}

// detach takes a descriptor that stays open out of the kernel's list.
func (p *poller) detach(fd int) {
	// It fails only for descriptors that are not there.
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil)
}

// arm switches the events of a descriptor that was added on or off.
func (p *poller) arm(fd int, id uint32, on bool) {
	var what uint32
	if on {
		what = unix.EPOLLIN
	}
	_ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, fd, event(id, what))
}

func event(id, what uint32) *unix.EpollEvent {
	return &unix.EpollEvent{Events: what, Fd: int32(id)}
}

// run serves events until close.
func (p *poller) run() {
	var events [128]unix.EpollEvent
	for {
		n := 0
		err := p.wait.Read(func(fd uintptr) bool {
			var err error
			n, err = unix.EpollWait(int(fd), events[:], 0)
			return n > 0 || err != nil
		})
		if err != nil {
			return
		}
		for _, e := range events[:max(n, 0)] {
			p.mu.Lock()
			h := p.handlers[uint32(e.Fd)]
			p.mu.Unlock()
			if h != nil {
				h.ready()
			}
		}
	}
}

// close ends run. Nothing may be added, armed or removed any more.
func (p *poller) close() { _ = p.ep.Close() }
