package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// listenSource sends all it can to everybody who connects, and takes all that comes.
func listenSource(addr string, failed chan<- error) error {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				report(failed, err)
				return
			}
			go func() {
				defer conn.Close() //nolint:errcheck // whoever measures has what he wants
				go func() { _, _ = io.Copy(io.Discard, conn) }()
				for buf := make([]byte, 1<<16); err == nil; {
					_, err = conn.Write(buf)
				}
			}()
		}
	}()
	return nil
}

// held is how many bytes a socket may hold, so that they count little beside what passes in a second.
const held = 64 << 10

// settled is how many bytes pass before a rate is measured: a burst, and what sockets hold.
const settled = 3 << 20

// rate measures how many bits a second pass of a connection to a source, in one direction.
func rate(direction, addr string, duration time.Duration) (string, error) {
	conn, err := dial("tcp", addr, "", time.Now().Add(5*time.Second))
	if err != nil {
		return "", name(err)
	}
	defer conn.Close() //nolint:errcheck // it has served
	// What a socket holds has passed before, while this waited for a processor, or has yet to pass.
	tcp, is := conn.(*net.TCPConn)
	if !is {
		return "", fmt.Errorf("a connection of TCP is a %T", conn)
	}
	if err = errors.Join(tcp.SetReadBuffer(held), tcp.SetWriteBuffer(held)); err != nil {
		return "", name(err)
	}
	pass := map[string]func([]byte) (int, error){"in": conn.Read, "out": conn.Write}[direction]
	if pass == nil {
		return "", fmt.Errorf("direction %q: want in or out", direction)
	}
	some := func(enough func(total int) bool) (total int, err error) {
		for buf := make([]byte, 1<<14); !enough(total) && err == nil; {
			var n int
			n, err = pass(buf)
			total += n
		}
		return total, err
	}
	if _, err = some(func(total int) bool { return total >= settled }); err != nil {
		return "", name(err)
	}
	start := time.Now()
	total, err := some(func(int) bool { return time.Since(start) >= duration })
	return fmt.Sprintf("%.0f", float64(total)*8/time.Since(start).Seconds()), name(err)
}
