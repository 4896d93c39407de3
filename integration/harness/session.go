package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Session is a command that is talked to while it runs.
type Session struct {
	what string
	in   io.WriteCloser
	done chan struct{}
	err  error

	mu sync.Mutex
	// out is what it has written so far, to both of its outputs.
	out bytes.Buffer
}

// Session starts a command with pipes. It is killed with the test.
func (n *Node) Session(t testing.TB, args ...string) *Session {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := n.Command(ctx, args...)
	s := &Session{what: strings.Join(args, " "), done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = s, s
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		t.Fatalf("start %s: %v", s.what, err)
	}
	s.in = in
	go func() { s.err = cmd.Wait(); close(s.done) }()
	t.Cleanup(func() { cancel(); <-s.done })
	return s
}

// Terminal starts a command at a terminal. It is killed with the test.
func (n *Node) Terminal(t testing.TB, args ...string) *Session {
	t.Helper()
	master, slave, err := openTerminal()
	if err != nil {
		t.Fatalf("open a terminal: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := n.Command(ctx, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	err = errors.Join(cmd.Start(), slave.Close())
	if err != nil {
		cancel()
		t.Fatalf("start %s: %v", strings.Join(args, " "), errors.Join(err, master.Close()))
	}
	s := &Session{what: strings.Join(args, " "), in: master, done: make(chan struct{})}
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(s, master) // until EIO: nobody has the other end open any more
	}()
	go func() { s.err = cmd.Wait(); <-read; close(s.done) }()
	t.Cleanup(func() {
		cancel()
		<-s.done
		_ = master.Close()
	})
	return s
}

// openTerminal returns both ends of a new pseudoterminal.
func openTerminal() (master, slave *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	number, getErr := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err = errors.Join(err, getErr); err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	return master, slave, nil
}

// Write takes what the command writes.
func (s *Session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

// Output is what the command has written so far.
func (s *Session) Output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// Say gives the command input.
func (s *Session) Say(t testing.TB, text string) {
	t.Helper()
	if _, err := io.WriteString(s.in, text); err != nil {
		t.Fatalf("%s: %v", s.what, err)
	}
}

// CloseInput ends the command's input.
func (s *Session) CloseInput(t testing.TB) {
	t.Helper()
	if err := s.in.Close(); err != nil {
		t.Fatalf("%s: %v", s.what, err)
	}
}

// Shows waits until the command has written a text.
func (s *Session) Shows(t testing.TB, text string) {
	t.Helper()
	Eventually(t, s.what, func() error {
		if out := s.Output(); !strings.Contains(out, text) {
			return fmt.Errorf("no %q in %q", text, out)
		}
		return nil
	})
}

// Ends waits for the command's end, and returns all that it has written.
func (s *Session) Ends(t testing.TB) (string, error) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%s does not end; it has written %q", s.what, s.Output())
	}
	return s.Output(), s.err
}
