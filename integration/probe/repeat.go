package main

import (
	"context"
	"fmt"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// repeat asks again and again, each time by a connection of its own, or pings,
// until SIGTERM comes, and then prints how often it asked and how often there was
// no answer in time. For each question it prints when it was asked, in
// nanoseconds of Unix time, and "answered" or what went wrong. A slow answer
// holds up no other question.
func repeat(proto, addr string, timeout, every time.Duration) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	var asked, lost atomic.Int64
	var open sync.WaitGroup
	tick := time.NewTicker(every)
	defer tick.Stop()
	fmt.Println("open")
	for ctx.Err() == nil {
		n := asked.Add(1)
		open.Go(func() {
			at, result := time.Now().UnixNano(), "answered"
			if err := ask(proto, addr, n, timeout); err != nil {
				lost.Add(1)
				result = name(err).Error()
			}
			fmt.Println(at, result)
		})
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	open.Wait()
	fmt.Printf("asked=%d lost=%d\n", asked.Load(), lost.Load())
	return nil
}

// ask asks once. The number tells one ping from the next.
func ask(proto, addr string, number int64, timeout time.Duration) error {
	if proto == "icmp" {
		return ping(addr, uint16(number), timeout) //nolint:gosec // it may start again
	}
	_, err := get(proto, addr, "", timeout)
	return err
}
