// Command load makes and answers the traffic that the benchmarks measure. It
// is static and runs in containers as well as on hosts.
//
//	load serve PORT               accepts and closes TCP connections, echoes single bytes of UDP; echoes TCP on PORT+1
//	load connect ADDR SECONDS     opens and resets TCP connections
//	load talk NET ADDR SECONDS    sends a byte and waits for its echo, on one flow of tcp or udp
//	load question NAME ADDR COUNT   asks a server of names for an address, from one socket
//	load first ADDR COUNT         times the first packet of COUNT UDP flows
//	load wait ADDR SECONDS        waits for the first answer to a new UDP flow
//	load time PROGRAM ARG...       runs a program with this input, environment and output, and tells how long on standard error
//	load send ADDR SECONDS        sends short datagrams of one UDP flow, and tells the processor time of each
//
// What serves runs on the last processor, what asks on the first one: a scheduler
// that moves them changes a figure by more than a driver does.
//
// The commands print one JSON object with times in microseconds. Sockets are
// used directly and block: what the Go runtime would add is several times what
// the kernel takes for a connection.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "serve" {
		port, err := strconv.ParseUint(args[1], 10, 16)
		if err != nil {
			return err
		}
		if err := pin(runtime.NumCPU() - 1); err != nil {
			return err
		}
		return serve(int(port))
	}
	if len(args) > 1 && args[0] == "time" {
		return timed(args[1:])
	}
	kind := ""
	if len(args) == 4 && (args[0] == "talk" || args[0] == "question") {
		kind = args[1]
		args = slices.Delete(args, 1, 2)
	}
	if len(args) != 3 {
		return errors.New("usage: load serve PORT | connect ADDR SECONDS | talk tcp|udp ADDR SECONDS | question NAME ADDR COUNT | first ADDR COUNT | wait ADDR SECONDS | send ADDR SECONDS")
	}
	addr, err := netip.ParseAddrPort(args[1])
	if err != nil {
		return err
	}
	number, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return err
	}
	if err := pin(0); err != nil {
		return err
	}
	to := &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	length := time.Duration(number * float64(time.Second))
	commands := map[string]func() error{
		"connect":  func() error { return connect(to, length) },
		"talk":     func() error { return talk(kind, to, length) },
		"question": func() error { return question(kind, to, int(number)) },
		"first":    func() error { return first(to, int(number)) },
		"wait":     func() error { return wait(to, length) },
		"send":     func() error { return send(to, length) },
	}
	command, known := commands[args[0]]
	if !known {
		return fmt.Errorf("unknown command %q", args[0])
	}
	return command()
}

// timed runs a program. Seconds are all that it writes itself.
func timed(program []string) error {
	cmd := exec.Command(program[0], program[1:]...)
	var said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, &said
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", program[0], err, &said)
	}
	_, err := fmt.Fprintf(os.Stderr, "%f", time.Since(start).Seconds())
	return err
}

// pin keeps all threads of the process on one processor: those that there are, and
// so those that they start.
func pin(processor int) error {
	var set unix.CPUSet
	set.Set(processor)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err == nil {
			err = unix.SchedSetaffinity(id, &set)
		}
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("keep thread %s on processor %d: %w", t.Name(), processor, err)
		}
	}
	return nil
}

// connect opens connections one after the other and resets them, so that neither
// side keeps any in TIME_WAIT.
func connect(to unix.Sockaddr, length time.Duration) error {
	var all []float64
	start := time.Now()
	for time.Since(start) < length {
		took, err := connectOnce(to)
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		all = append(all, took)
	}
	return report(all, float64(len(all))/time.Since(start).Seconds())
}

// talk sends a byte and waits for its echo, one after the other, on one flow.
func talk(kind string, to *unix.SockaddrInet4, length time.Duration) error {
	family := unix.SOCK_DGRAM
	switch kind {
	case "tcp":
		family = unix.SOCK_STREAM
		to.Port++
	case "udp":
	default:
		return fmt.Errorf("unknown protocol %q", kind)
	}
	fd, err := unix.Socket(unix.AF_INET, family|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeSocket(fd)
	if err := unix.Connect(fd, to); err != nil {
		return err
	}
	var all []float64
	start := time.Now()
	for time.Since(start) < length {
		took, err := exchange(fd, nil, time.Second)
		if err != nil {
			return fmt.Errorf("talk: %w", err)
		}
		all = append(all, took)
	}
	return report(all, float64(len(all))/time.Since(start).Seconds())
}

func connectOnce(to unix.Sockaddr) (float64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer closeSocket(fd)
	if err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return 0, err
	}
	start := time.Now()
	err = unix.Connect(fd, to)
	return micros(start), err
}

// first sends one packet from a new socket and waits for the answer, count
// times: a packet of a new flow passes all rules.
func first(to unix.Sockaddr, count int) error {
	var all []float64
	start := time.Now()
	for range count {
		took, err := ask(to, time.Second)
		if err != nil {
			return fmt.Errorf("first packet: %w", err)
		}
		all = append(all, took)
	}
	return report(all, float64(count)/time.Since(start).Seconds())
}

// wait asks from new sockets until one is answered.
func wait(to unix.Sockaddr, length time.Duration) error {
	start := time.Now()
	for time.Since(start) < length {
		if _, err := ask(to, 5*time.Millisecond); err == nil {
			return report([]float64{micros(start)}, 0)
		}
	}
	return fmt.Errorf("no answer within %s", length)
}

// send sends datagrams of a flow that has been answered once, without an answer
// to the others. A datagram goes all its way, into the receiver's queue, on the
// sender's time. How many arrive depends on how the receiver gets to run.
func send(to unix.Sockaddr, length time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeSocket(fd)
	if _, err = exchange(fd, to, time.Second); err != nil {
		return err
	}
	var before, after unix.Rusage
	datagram := make([]byte, 32)
	count := 0
	start := time.Now()
	err = unix.Getrusage(unix.RUSAGE_THREAD, &before)
	for err == nil && time.Since(start) < length {
		for range 1000 {
			err = errors.Join(err, unix.Sendto(fd, datagram, 0, to))
		}
		count += 1000
	}
	if err = errors.Join(err, unix.Getrusage(unix.RUSAGE_THREAD, &after)); err != nil {
		return err
	}
	used := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	return report([]float64{float64(used) / float64(count) / 1e3}, float64(count)/time.Since(start).Seconds())
}

func ask(to unix.Sockaddr, limit time.Duration) (float64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer closeSocket(fd)
	return exchange(fd, to, limit)
}

// exchange sends a byte, to whom the socket is connected if to is nil, and waits
// for the answer.
func exchange(fd int, to unix.Sockaddr, limit time.Duration) (float64, error) {
	tv := unix.NsecToTimeval(limit.Nanoseconds())
	err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	if to == nil {
		_, err = unix.Write(fd, []byte("x"))
	} else {
		err = unix.Sendto(fd, []byte("x"), 0, to)
	}
	if err != nil {
		return 0, err
	}
	// A call with a time limit is not taken up again after a signal, and the
	// runtime sends itself some.
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		_, _, err = unix.Recvfrom(fd, make([]byte, 16), 0)
	}
	return micros(start), err
}

// serve answers until it is killed.
func serve(port int) error {
	tcp, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	udp, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	at := &unix.SockaddrInet4{Port: port}
	if err := errors.Join(unix.Bind(tcp, at), unix.Listen(tcp, 4096), unix.Bind(udp, at)); err != nil {
		return err
	}
	if err := listenEcho(port + 1); err != nil {
		return err
	}
	fmt.Println("ready")
	go echo(udp)
	for {
		conn, _, err := unix.Accept(tcp)
		if errors.Is(err, unix.ECONNABORTED) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		closeSocket(conn)
	}
}

// listenEcho echoes what comes by TCP on a port.
func listenEcho(port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Port: port}), unix.Listen(fd, 16)); err != nil {
		return err
	}
	go func() {
		for {
			conn, _, err := unix.Accept(fd)
			if err == nil {
				go echoStream(conn)
			}
		}
	}()
	return nil
}

func echoStream(fd int) {
	defer closeSocket(fd)
	buf := make([]byte, 16)
	for {
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		// An answer that cannot be sent is one that the client misses.
		_, _ = unix.Write(fd, buf[:n])
	}
}

func echo(fd int) {
	buf := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err == nil && n == 1 {
			// An answer that cannot be sent is one that the client misses.
			_ = unix.Sendto(fd, buf[:n], 0, from)
		}
	}
}

// closeSocket closes; Linux has released the descriptor whatever close says.
func closeSocket(fd int) { _ = unix.Close(fd) }

func micros(start time.Time) float64 { return float64(time.Since(start).Nanoseconds()) / 1e3 }

// report prints the quantiles of the times.
func report(all []float64, rate float64) error {
	slices.Sort(all)
	at := func(q float64) float64 { return all[min(int(q*float64(len(all))), len(all)-1)] }
	return json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"rate": rate, "p50": at(0.5), "p99": at(0.99), "count": float64(len(all)),
	})
}
