package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// get makes one connection, or sends one datagram, and returns the first line
// of the answer.
func get(proto, addr, from string, timeout time.Duration) (string, error) {
	deadline := time.Now().Add(timeout)
	if kind, name, _ := strings.Cut(proto, ":"); kind == "tls" {
		return getTLS(name, addr, from, deadline)
	}
	switch proto {
	case "sctp":
		return getSCTP(addr, deadline)
	case "broadcast":
		return getBroadcast(addr, deadline)
	}
	conn, err := dial(proto, addr, from, deadline)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // the answer is what counts
	if strings.HasPrefix(proto, "udp") {
		if _, werr := fmt.Fprintln(conn, "hello"); werr != nil {
			return "", werr
		}
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}

// getBroadcast sends one datagram to everybody, and takes the answer of anybody.
func getBroadcast(addr string, deadline time.Time) (string, error) {
	to, err := net.ResolveUDPAddr("udp4", addr)
	if err != nil {
		return "", err
	}
	conn, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return "", err
	}
	defer conn.Close() //nolint:errcheck // the answer is what counts
	if err = conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err = conn.WriteTo([]byte("hello\n"), to); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}

// dial connects and sets the deadline for everything that follows.
func dial(proto, addr, from string, deadline time.Time) (net.Conn, error) {
	d := net.Dialer{Deadline: deadline}
	if from != "" {
		local, err := localAddr(proto, from)
		if err != nil {
			return nil, err
		}
		d.LocalAddr = local
	}
	conn, err := d.Dial(proto, addr)
	if err != nil {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			return nil, fmt.Errorf("%w: %w", os.ErrDeadlineExceeded, err)
		}
		return nil, err
	}
	return conn, conn.SetDeadline(deadline)
}

func localAddr(proto, from string) (net.Addr, error) {
	addr := from
	if _, err := netip.ParseAddr(from); err == nil {
		addr = net.JoinHostPort(from, "0")
	}
	if strings.HasPrefix(proto, "udp") {
		return net.ResolveUDPAddr(proto, addr)
	}
	return net.ResolveTCPAddr(proto, addr)
}

// stream keeps one TCP connection busy with a line every 20 ms that must come
// back, until the time is over or SIGTERM comes, and then prints how many came
// back and the longest wait. A broken connection is an error.
func stream(addr string, duration time.Duration) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, duration)
		defer stop()
	}
	conn, err := dial("tcp", addr, "", time.Now().Add(5*time.Second))
	if err != nil {
		return name(err)
	}
	defer conn.Close() //nolint:errcheck // the lines are what counts
	r := bufio.NewReader(conn)
	who, err := r.ReadString('\n')
	if err != nil {
		return name(err)
	}
	fmt.Print("open ", who)
	count, longest := 0, time.Duration(0)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Printf("echoed=%d longest=%s\n", count, longest.Round(time.Millisecond))
			return nil
		case <-tick.C:
		}
		start := time.Now()
		want := fmt.Sprintf("line %d\n", count)
		if err := echo(conn, r, want); err != nil {
			return fmt.Errorf("stream broke after %d lines: %w", count, name(err))
		}
		count++
		longest = max(longest, time.Since(start))
	}
}

func echo(conn net.Conn, r *bufio.Reader, want string) error {
	if err := conn.SetDeadline(time.Now().Add(15 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprint(conn, want); err != nil {
		return err
	}
	got, err := r.ReadString('\n')
	if err == nil && got != want {
		err = fmt.Errorf("sent %q, got %q", want, got)
	}
	return err
}
