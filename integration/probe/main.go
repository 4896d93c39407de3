// Command probe asks and answers over the network, so that the engine tests can
// see who reached whom and from which address.
//
//	probe serve PROTO ADDR:PORT[-PORT] [PROTO ADDR:PORT...]
//	probe get [-timeout D] [-from ADDR[:PORT]] PROTO HOST:PORT
//	probe ping [-timeout D] HOST
//	probe stream [-for D] HOST:PORT
//	probe rate -for D in|out HOST:PORT
//	probe repeat [-timeout D] [-every D] PROTO HOST:PORT | icmp HOST
//	probe fetch [-timeout D] HOST:PORT
//	probe advertise INTERFACE PREFIX
//	probe tap INTERFACE ADDRESS GATEWAY TARGET
//	probe tunnel INTERFACE ADDRESS HOST:PORT|:PORT ROUTE[,ROUTE...]
//	probe send [-count N] INTERFACE FRAME
//
// PROTO is tcp, udp or sctp; for serve also source: TCP that sends all it can, of which rate
// tells how many bits a second pass, dns:NAME=ADDRESS[@SECONDS][;NAME=ADDRESS…], and npm:FOLDER,
// a registry of npm with its certificate in the folder; for get also broadcast: UDP to everybody, answered by
// anybody; tls, and for get tls:NAME, which says another name than the host's. A server tells every client the address it saw the
// client come from, the address it was reached at and its own host name, as one
// line "client=ADDR:PORT local=ADDR:PORT host=NAME".
//
// Invariant: get and ping exit with 0 only if the other side really answered
// within the timeout; a timeout prints "timeout", a refusal "refused".
// The program resolves names, but never retries: what it reports is one attempt.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("usage: probe serve|get|ping|stream|rate|repeat|fetch|advertise|tap|tunnel|send ARGUMENTS")
	}
	flags := flag.NewFlagSet("probe "+args[0], flag.ContinueOnError)
	timeout := flags.Duration("timeout", 3*time.Second, "how long to wait for the answer")
	from := flags.String("from", "", "source address, and port if it has to be a certain one")
	count := flags.Int("count", 1, "how many frames to send")
	duration := flags.Duration("for", 0, "how long to stream; 0 until SIGTERM")
	every := flags.Duration("every", 100*time.Millisecond, "time from one question to the next")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	rest := flags.Args()
	c, ok := commands(options{*timeout, *duration, *every, *from, *count})[args[0]]
	if !ok || len(rest) != c.arguments && (c.arguments > 0 || len(rest) == 0 || len(rest)%2 != 0) {
		return fmt.Errorf("%s: unknown command, or wrong number of arguments %q", args[0], rest)
	}
	line, err := c.run(rest)
	if err != nil {
		return name(err)
	}
	if line != "" {
		fmt.Println(line)
	}
	return nil
}

// command is one word that probe knows. It returns what is to be printed.
type command struct {
	// arguments is how many there have to be; 0 stands for any number of pairs.
	arguments int
	run       func(args []string) (string, error)
}

// options are the values of all flags.
type options struct {
	timeout, duration, every time.Duration
	from                     string
	count                    int
}

func commands(o options) map[string]command {
	silent := func(f func(args []string) error) func([]string) (string, error) {
		return func(args []string) (string, error) { return "", f(args) }
	}
	return map[string]command{
		"serve":     {0, silent(serve)},
		"get":       {2, func(a []string) (string, error) { return get(a[0], a[1], o.from, o.timeout) }},
		"fetch":     {1, func(a []string) (string, error) { return fetch(a[0], o.timeout) }},
		"ping":      {1, silent(func(a []string) error { return ping(a[0], 0, o.timeout) })},
		"rate":      {2, func(a []string) (string, error) { return rate(a[0], a[1], o.duration) }},
		"stream":    {1, silent(func(a []string) error { return stream(a[0], o.duration) })},
		"repeat":    {2, silent(func(a []string) error { return repeat(a[0], a[1], o.timeout, o.every) })},
		"advertise": {2, silent(func(a []string) error { return advertise(a[0], a[1]) })},
		"tap":       {4, silent(func(a []string) error { return tapOf(a) })},
		"tunnel":    {4, silent(func(a []string) error { return tunnel(a[0], a[1], a[2], a[3]) })},
		"send":      {2, silent(func(a []string) error { return send(a[0], a[1], o.count) })},
	}
}

// name puts the word that tests look for in front of the system's text.
func name(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("timeout: %w", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("refused: %w", err)
	}
	return err
}
