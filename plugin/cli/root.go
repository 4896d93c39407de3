package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

// PluginDir is where the engine looks for plugins: the plain daemon's socket is
// in it, a managed plugin's in a folder named by the plugin's id.
const PluginDir = "/run/docker/plugins"

// socketName is the daemon's socket, in PluginDir or in a folder of it.
const socketName = "gangway.sock"

// askGroup is the id of the commands that only read.
const askGroup = "ask"

// Options are what the command is put together from.
type Options struct {
	// Version is this build's.
	Version plugin.Version
	// Serve runs the daemon until the command's context ends.
	Serve func(cmd *cobra.Command, args []string) error
	// ServeFlags declares the flags of gangway serve.
	ServeFlags func(*pflag.FlagSet)
	// PluginDir is searched for the daemon's socket; empty for PluginDir.
	PluginDir string
}

// errSilent ends the command with exit code 1 after it has said all there is to
// say.
var errSilent = errors.New("there is a problem")

// New returns the gangway command.
func New(o Options) *cobra.Command {
	if o.PluginDir == "" {
		o.PluginDir = PluginDir
	}
	root := &cobra.Command{
		Use:   "gangway",
		Short: "Docker networks and published ports",
		Long: "gangway is a Docker network driver and address manager.\n\n" +
			"\"gangway serve\" is the daemon; most other commands ask a running daemon, as root.",
		// Without RunE and Args cobra names the nearest command for a typo.
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see \"%s --help\"", err, cmd.CommandPath())
	})
	root.AddGroup(&cobra.Group{ID: askGroup, Title: "Commands that ask the daemon:"})
	serve := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Args:  noArgs,
		RunE:  o.Serve,

		ValidArgsFunction: cobra.NoFileCompletions,
	}
	if o.ServeFlags != nil {
		o.ServeFlags(serve.Flags())
	}
	root.AddCommand(serve)
	root.AddCommand(optionsCommand())
	for _, c := range []command{statusCommand(), healthCommand(), networksCommand(), endpointsCommand(), portsCommand(), eventsCommand(), versionCommand(o.Version)} {
		root.AddCommand(c.cobra(o))
	}
	return root
}

// noArgs is for commands without arguments, which is all of them.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q; see \"%s --help\"", args[0], cmd.CommandPath())
	}
	return nil
}

// Execute runs the command and returns the exit code: 0, or 1 after an error,
// which is written to stderr, or if the daemon reports a problem.
func Execute(ctx context.Context, root *cobra.Command, stderr io.Writer) int {
	cmd, err := root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errSilent):
	default:
		_, _ = fmt.Fprintf(stderr, "%s: %s\n", cmd.CommandPath(), printable.Text(err.Error()))
	}
	return 1
}

// command is one that asks the daemon.
type command struct {
	use, short string
	// long explains the columns; empty for short.
	long string
	// ids says that the answer has ids, which are cut unless --no-trunc is set.
	ids bool
	// follows says that the command can go on printing what is new; then run
	// bounds its questions itself.
	follows bool
	// run writes the answer.
	run func(ctx context.Context, q query) error
}

// query is one run of a command.
type query struct {
	out  io.Writer
	json bool
	// full leaves ids uncut.
	full bool
	// follow says to go on until ctx ends, and timeout how long one answer may
	// take.
	follow  bool
	timeout time.Duration
	find    func(context.Context) (*daemon, error)
}

// id cuts an id as docker does.
func (q query) id(id string) string {
	if q.full {
		return id
	}
	return id[:min(len(id), 12)]
}

func (c command) cobra(o Options) *cobra.Command {
	var asJSON, full, follow bool
	var socket string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     c.use,
		Short:   c.short,
		Long:    c.long,
		GroupID: askGroup,
		Args:    noArgs,

		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return fmt.Errorf("--timeout %s: want more than 0s, such as 30s", timeout)
			}
			ctx := cmd.Context()
			if !c.follows {
				bounded, cancel := context.WithTimeout(ctx, timeout)
				defer cancel()
				ctx = bounded
			}
			return c.run(ctx, query{
				out:  cmd.OutOrStdout(),
				json: asJSON,
				full: full,

				follow:  follow,
				timeout: timeout,
				find:    func(ctx context.Context) (*daemon, error) { return findDaemon(ctx, o.PluginDir, socket) },
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print the daemon's answer as JSON")
	f.StringVar(&socket, "socket", "", "the daemon's socket `file` (default: the one that answers in "+o.PluginDir+")")
	f.DurationVar(&timeout, "timeout", 30*time.Second, "how long to wait for the daemon")
	if c.follows {
		f.BoolVarP(&follow, "follow", "f", false, "go on with what is new until interrupted")
	}
	if c.ids {
		f.BoolVar(&full, "no-trunc", false, "do not cut ids")
	}
	return cmd
}
