// Command probe asks and answers over the network, so that the engine tests can
// see who reached whom and from which address.
//
//	probe serve PROTO ADDR:PORT[-PORT] [PROTO ADDR:PORT...]
//	probe get [-timeout D] [-from ADDR] PROTO HOST:PORT
//	probe ping [-timeout D] HOST
//	probe stream [-for D] HOST:PORT
//
// PROTO is tcp, udp or sctp. A server tells every client the address it saw the
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
		return errors.New("usage: probe serve|get|ping|stream ARGUMENTS")
	}
	flags := flag.NewFlagSet("probe "+args[0], flag.ContinueOnError)
	timeout := flags.Duration("timeout", 3*time.Second, "how long to wait for the answer")
	from := flags.String("from", "", "source address")
	duration := flags.Duration("for", 0, "how long to stream; 0 until SIGTERM")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	rest := flags.Args()
	switch {
	case args[0] == "serve" && len(rest) >= 2 && len(rest)%2 == 0:
		return serve(rest)
	case args[0] == "get" && len(rest) == 2:
		answer, err := get(rest[0], rest[1], *from, *timeout)
		if err != nil {
			return name(err)
		}
		fmt.Println(answer)
		return nil
	case args[0] == "ping" && len(rest) == 1:
		return name(ping(rest[0], *timeout))
	case args[0] == "stream" && len(rest) == 1:
		return stream(rest[0], *duration)
	}
	return fmt.Errorf("%s: wrong number of arguments %q", args[0], rest)
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
