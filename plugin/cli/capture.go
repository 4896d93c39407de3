package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/capture"
	"github.com/gangway-net/gangway/printable"
)

const captureLong = `Write what passes a container's interfaces as pcapng, until interrupted, until
--count packets, or until the container has left its networks.

  gangway capture web | tcpdump -nr -
  gangway capture web | wireshark -k -i -
  gangway capture web -w web.pcapng

It listens at the host's end of the veth pair: nothing is needed in the
container. Directions are the container's ("frame.packet_flags_direction" in
Wireshark): what it sends is outbound. What its port filter drops is seen as
well; what its networks refuse it is not, as that does not come so far. A
container on several networks has an interface for each in the file.

The file ends with the number of packets that were dropped because they came
faster than they could be written.

` + aboutNames

// captureAskTime bounds the questions before the capture.
const captureAskTime = 30 * time.Second

// captured is one run of gangway capture.
type captured struct {
	query   query
	count   uint64
	snaplen int
	file    string
	version string
	stderr  io.Writer
}

func captureCommand(o Options) *cobra.Command {
	var socket string
	c := captured{version: o.Version.Version}
	ready := func(ctx context.Context) (*daemon, error) { return findDaemon(ctx, o.PluginDir, socket) }
	cmd := &cobra.Command{
		Use: "capture CONTAINER", Short: "Write a container's packets as pcapng, for tcpdump and Wireshark", Long: captureLong, GroupID: askGroup,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 || args[0] == "":
				return fmt.Errorf("whose packets: name a container; see \"%s --help\"", cmd.CommandPath())
			case len(args) > 1:
				return unexpected(cmd, args[1])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.snaplen < 1 || c.snaplen > capture.MaxSnaplen {
				return fmt.Errorf("--snaplen %d: want 1 to %d bytes", c.snaplen, capture.MaxSnaplen)
			}
			c.query.find, c.query.out, c.stderr = ready, cmd.OutOrStdout(), cmd.ErrOrStderr()
			c.query.want.argument = args[0]
			return c.run(cmd.Context())
		},
	}
	names := func(list func(context.Context, query) []string) cobra.CompletionFunc {
		return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completion(cmd, list, func() query { return query{find: ready} })
		}
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(containerNames)(cmd, args, word)
	}
	f := cmd.Flags()
	f.StringVar(&socket, "socket", "", "the daemon's socket `file` (default: the one that answers in "+o.PluginDir+")")
	f.StringVar(&c.query.want.network, "network", "", "capture on one `NETWORK` only, by name or id")
	f.Uint64Var(&c.count, "count", 0, "end after `N` packets (default: never)")
	f.IntVar(&c.snaplen, "snaplen", capture.MaxSnaplen, "write `N` bytes of a packet at most")
	f.StringVarP(&c.file, "write", "w", "-", "write to `FILE`; - is standard output")
	_ = cmd.RegisterFlagCompletionFunc("network", names(networkNames)) // fails for a flag that is not there
	return cmd
}

func (c captured) run(ctx context.Context) (err error) {
	if c.file == "-" && isTerminal(c.query.out) {
		return errors.New("standard output is a terminal, and packets are no text: write to a file with -w FILE, or to a program, as in: gangway capture CONTAINER | tcpdump -nr -")
	}
	links, err := c.links(ctx)
	if err != nil {
		return err
	}
	out := c.query.out
	if c.file != "-" {
		// Packets may hold passwords.
		file, failed := os.OpenFile(c.file, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		out = file
	}
	// Who reads may end first: then the capture is over, and nothing is wrong.
	signal.Ignore(syscall.SIGPIPE)
	r, err := capture.Run(ctx, out, capture.Options{
		Links: links, Count: c.count, Snaplen: c.snaplen, Application: "gangway " + c.version,
		Listening: func() { _, _ = fmt.Fprintf(c.stderr, "capturing on %s\n", captureLine(links)) },
	})
	if err != nil {
		return err
	}
	if r.Gone {
		_, _ = fmt.Fprintln(c.stderr, "the container has left")
	}
	_, _ = fmt.Fprintf(c.stderr, "%s captured, %d dropped by the kernel\n", count(r.Packets, "packet"), r.Dropped)
	return nil
}

// links are the container's, or its one on the network that is named.
func (c captured) links(ctx context.Context) (links []capture.Link, err error) {
	ctx, cancel := context.WithTimeout(ctx, captureAskTime)
	defer cancel()
	c.query.awaitContainer(ctx, c.query.want.argument)
	l, err := fetch[plugin.Endpoint](ctx, c.query, "endpoints")
	if err != nil {
		return nil, err
	}
	ids, err := pick("container", "is on a network of Gangway", c.query.want.argument, containers(l.list))
	if err != nil {
		return nil, err
	}
	on, err := c.query.network(ctx)
	if err != nil {
		return nil, err
	}
	for _, e := range l.list {
		if !ids[key(e.Whose, e.ID)] {
			continue
		}
		if on != nil && !on[e.NetworkID] || e.HostInterface == "" {
			continue
		}
		inside := e.ContainerInterface
		if inside == "" {
			inside = e.HostInterface
		}
		links = append(links, capture.Link{
			Host: e.HostInterface, Index: e.HostIndex, Name: printable.Word(inside),
			Description: printable.Word(fmt.Sprintf("container %s, network %s", c.query.name(e.ContainerName, e.ID), c.query.name(e.NetworkName, e.NetworkID))),
		})
	}
	switch {
	case len(links) > 0:
		return links, nil
	case on != nil:
		return nil, &notFoundError{fmt.Sprintf("container %q has no interface on network %q: see gangway endpoints", c.query.want.argument, c.query.want.network)}
	}
	return nil, fmt.Errorf("container %q has no interface: it does not run", c.query.want.argument)
}

func captureLine(links []capture.Link) string {
	text := ""
	for i, l := range links {
		if i > 0 {
			text += "; "
		}
		text += printable.Word(l.Host) + " (" + l.Name + " of " + l.Description + ")"
	}
	return text
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}
