package hostport

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
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
	log  *logrus.Entry

	// mu guards the rest.
	mu       sync.Mutex
	next     uint32
	handlers map[uint32]handler
	telling
}

// telling is what the kernel is to be told of.
type telling struct {
	// waiting are descriptors, by their id.
	waiting map[uint32]int
	// busy says that somebody tells it, tellers waits for them.
	busy    bool
	tellers sync.WaitGroup
	// refused says that the kernel did not take some of waiting.
	refused bool
}

// handler is called by the poller's goroutine alone. It must not block, and
// returns when there is nothing more to read, or after some time: it is called
// again. It may be called once after remove returned.
type handler interface{ ready() }

func newPoller(log *logrus.Entry) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	if err = unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	p := &poller{ep: os.NewFile(uintptr(fd), "epoll"), fd: fd, handlers: map[uint32]handler{}, telling: telling{waiting: map[uint32]int{}}, log: log}
	// The deadline is none, but can only be set if the runtime polls the file.
	if err = p.ep.SetReadDeadline(time.Time{}); err == nil {
		p.wait, err = p.ep.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("epoll: %w", err), p.ep.Close())
	}
	return p, nil
}

// add calls h whenever fd can be read, until remove; from the next call of watch
// on, which has to follow.
func (p *poller) add(fd int, h handler) (id uint32) {
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
	p.handlers[id] = h
	p.waiting[id] = fd
	return id
}

// watch has the kernel told of what was added, a little later: with ten thousand
// ports that takes long, nobody has to wait for it, and what comes in meanwhile
// waits at the descriptor. So a refusal can only be logged, and tried again by the
// next call; the kernel's limit (max_user_watches) is one for some 4 KiB of memory.
func (p *poller) watch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) > 0 && !p.busy {
		p.busy = true
		p.tellers.Go(p.tell)
	}
}

// tellBatch bounds how many descriptors the kernel is told of while others wait
// for the lock.
const tellBatch = 64

// tell tells the kernel of all descriptors that wait for it.
func (p *poller) tell() {
	for more := true; more; {
		more = p.tellSome()
	}
}

func (p *poller) tellSome() (more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for id, fd := range p.waiting {
		if n++; n > tellBatch {
			return true
		}
		if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, fd, event(id, unix.EPOLLIN)); err != nil {
			if !p.refused {
				p.log.WithError(err).Warnf("%d published ports are held, but not relayed: epoll", len(p.waiting))
			}
			p.busy, p.refused = false, true
			return false
		}
		delete(p.waiting, id)
	}
	p.busy, p.refused = false, false
	return false
}

// refuses says whether the kernel did not take some descriptors.
func (p *poller) refuses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// remove ends the calls of a handler. The descriptor has to be closed then, which
// takes it out of the kernel's list, or to be detached.
func (p *poller) remove(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.handlers, id)
	delete(p.waiting, id)
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
func (p *poller) close() {
	p.tellers.Wait()
	_ = p.ep.Close()
}
