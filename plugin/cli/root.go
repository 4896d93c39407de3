package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

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

// exitError ends the command with an exit code of its own; without an error after it has said
// all there is to say.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// errSilent ends the command with exit code 1 after it has said all there is to
// say.
var errSilent error = &exitError{exitProblem, nil}

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
	root.AddCommand(apiCommand(o))
	root.AddCommand(optionsCommand())
	for _, c := range []command{statusCommand(), healthCommand(), networksCommand(), endpointsCommand(), portsCommand(), addressesCommand(), dropsCommand(), decisionsCommand(), eventsCommand(), graphCommand(), doctorCommand(), traceCommand(), rateCommand(), versionCommand(o.Version)} {
		root.AddCommand(c.cobra(o))
	}
	root.AddCommand(captureCommand(o), policyCommand(o), supportCommand(o), uiCommand(o))
	return root
}

// noArgs is for commands without arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unexpected(cmd, args[0])
	}
	return nil
}

func unexpected(cmd *cobra.Command, arg string) error {
	return fmt.Errorf("unexpected argument %q; see \"%s --help\"", arg, cmd.CommandPath())
}

// Exit codes.
const (
	exitOK = iota
	// exitProblem is for an error, and for a daemon that reports a problem.
	exitProblem
	// exitNotFound says that nothing is called what an argument names.
	exitNotFound
)

// Exit codes of status and health.
const (
	exitDegraded = iota + 1
	exitFailed
	exitUnknown
)

// Execute runs the command and returns the exit code. An error is written to stderr.
func Execute(ctx context.Context, root *cobra.Command, stderr io.Writer) int {
	cmd, err := root.ExecuteContextC(ctx)
	var exit *exitError
	own := errors.As(err, &exit)
	switch {
	case err == nil:
		return exitOK
	case own && exit.err == nil:
		return exit.code
	}
	_, _ = fmt.Fprintf(stderr, "%s: %s\n", cmd.CommandPath(), printable.Text(err.Error()))
	if own {
		return exit.code
	}
	if missing := (*notFoundError)(nil); errors.As(err, &missing) {
		return exitNotFound
	}
	return exitProblem
}
