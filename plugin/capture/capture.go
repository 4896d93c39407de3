package capture

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// MaxSnaplen is the longest part of a packet that is written: that of tcpdump, and more
// than a packet can have.
const MaxSnaplen = 262144

// writeTime is how long a reader that does not read is waited for at the end.
const writeTime = 2 * time.Second

// Link is an interface of a container.
type Link struct {
	// Host is the host's end of the pair; Index is its index, 0 for unknown.
	Host  string
	Index int
	// Name and Description stand in the file.
	Name, Description string
}

// Options say what to capture.
type Options struct {
	Links []Link
	// Count is after how many packets to end; 0 for never.
	Count uint64
	// Snaplen is how much of a packet is written; 0 for MaxSnaplen.
	Snaplen int
	// Application stands in the file.
	Application string
	// Listening is called when everything from now on is captured.
	Listening func()
}

// Result says what was done.
type Result struct {
	// Packets were written, Dropped are those that the kernel had no room for.
	Packets, Dropped uint64
	// Gone says that the links ended the capture: they are not there any more.
	Gone bool
}

// errEnough ends a capture.
var errEnough = errors.New("enough")

// Run captures until ctx ends, the links are gone, there are Count packets, or w is closed by
// who reads it: none of these is an error.
func Run(ctx context.Context, w io.Writer, o Options) (Result, error) {
	if o.Snaplen <= 0 || o.Snaplen > MaxSnaplen {
		o.Snaplen = MaxSnaplen
	}
	c := &capture{o: o, out: bufio.NewWriterSize(w, 1<<16)}
	c.file = pcapng{w: c.out}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err := c.open()
	if err != nil {
		c.close()
		return Result{}, err
	}
	done := make(chan error, 1)
	go func() { done <- c.run(ctx) }()
	go func() {
		if broken(ctx, w) {
			stop()
		}
	}()
	if o.Listening != nil {
		o.Listening()
	}
	select {
	case err = <-done:
	case <-ctx.Done():
		// Who reads may have stopped to read, and no deadline ends a write into a pipe.
		select {
		case err = <-done:
		case <-time.After(writeTime):
			return Result{}, errors.New("the end of the capture was not written: nobody reads it")
		}
	}
	if errors.Is(err, syscall.EPIPE) {
		err = nil
	}
	return c.result, err
}

// capture is one run.
type capture struct {
	o     Options
	links []*source
	// mu guards the fields below.
	mu     sync.Mutex
	out    *bufio.Writer
	file   pcapng
	result Result
}

// source is what one link is captured by.
type source struct {
	*socket
	index   int
	started time.Time
	// written are packets; the capture's lock guards it.
	written uint64
}

// open opens the sockets and writes the file's head.
func (c *capture) open() error {
	if err := c.file.section(c.o.Application); err != nil {
		return err
	}
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("look for the interfaces: %w", err)
	}
	defer kernel.Close()
	for _, l := range c.o.Links {
		link, err := kernel.LinkByName(l.Host)
		if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) || err == nil && l.Index != 0 && link.Attrs().Index != l.Index {
			return fmt.Errorf("interface %s of %s is not here: run it in the network namespace of the daemon", l.Host, l.Description)
		} else if err != nil {
			return fmt.Errorf("interface %s: %w", l.Host, err)
		}
		s, err := listen(link.Attrs().Index, c.o.Snaplen)
		if errors.Is(err, unix.EPERM) {
			return fmt.Errorf("capture on interface %s: %w: run as root (sudo)", l.Host, err)
		} else if err != nil {
			return fmt.Errorf("capture on interface %s: %w", l.Host, err)
		}
		c.links = append(c.links, &source{socket: s, index: link.Attrs().Index, started: time.Now()})
		if err := c.file.networkInterface(l.Name, l.Description, uint32(c.o.Snaplen)); err != nil { //nolint:gosec // bounded
			return err
		}
	}
	return c.flush()
}

func (c *capture) close() {
	for _, s := range c.links {
		s.close()
	}
}

// run receives on all sockets until each has ended, and writes the file's end.
func (c *capture) run(ctx context.Context) error {
	defer c.close()
	left := len(c.links)
	ended, gone, watched := make(chan error, left), make(chan int, left), make(chan error, 1)
	var indexes []int
	for i, s := range c.links {
		indexes = append(indexes, s.index)
		go func() {
			ended <- s.receive(func(f frame) error {
				f.link = uint32(i) //nolint:gosec // few
				return c.take(f)
			}, c.flush)
		}()
	}
	go func() { watched <- watch(ctx, indexes, gone) }()
	var failed error
	stop := func() {
		for _, s := range c.links {
			s.stop()
		}
	}
	// present are the links that are there; those of done are heard of no more.
	present, done := left, ctx.Done()
	for left > 0 {
		select {
		case <-done:
			stop()
			done = nil
		case i := <-gone:
			present--
			c.links[i].stop()
		case err := <-watched:
			failed = errors.Join(failed, err)
			stop()
		case err := <-ended:
			left--
			if err != nil {
				failed = errors.Join(failed, err)
				stop()
			}
		}
	}
	c.result.Gone = present == 0
	switch {
	case failed == nil || errors.Is(failed, errEnough):
		return c.end()
	case errors.Is(failed, syscall.EPIPE):
		return failed
	}
	return errors.Join(failed, c.end())
}

// take writes a packet, if there are not enough.
func (c *capture) take(f frame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.o.Count > 0 && c.result.Packets >= c.o.Count {
		return errEnough
	}
	if err := c.file.packet(f); err != nil {
		return err
	}
	c.result.Packets++
	c.links[f.link].written++
	if c.result.Packets == c.o.Count {
		return errEnough
	}
	return nil
}

// flush lets the reader see what there is.
func (c *capture) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Flush()
}

// end writes what the kernel has counted.
func (c *capture) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, s := range c.links {
		received, dropped := s.counts()
		c.result.Dropped += dropped
		err := c.file.statistics(uint32(i), statistics{s.started, time.Now(), received, dropped, s.written}) //nolint:gosec // few
		if err != nil {
			return err
		}
	}
	return c.out.Flush()
}
