package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// DockerPlugin is the name by which the docker command finds this program as one of its
// own commands: docker gangway.
const DockerPlugin = "docker-gangway"

// dockerSocket is the variable by which docker (25 and later) says where it listens: it
// closes the connection when the user wants its command to end.
const dockerSocket = "DOCKER_CLI_PLUGIN_SOCKET"

// IsDockerPlugin says whether the docker command has called the program.
func IsDockerPlugin(program string) bool { return filepath.Base(program) == DockerPlugin }

// metadata is what the docker command asks each plugin for (docker/cli,
// cli-plugins/metadata).
type metadata struct {
	SchemaVersion    string
	Vendor           string
	Version          string
	ShortDescription string
	URL              string
}

// NewDocker returns the command as the docker command calls it: "docker-gangway
// gangway ports", with docker's own flags before or behind the name. What serves is no
// part of it.
//
// docker's module for plugins was the alternative; it brings docker's whole command
// along, for one answer and a few flags.
func NewDocker(o Options) *cobra.Command {
	gangway := New(o)
	for _, c := range gangway.Commands() {
		if c.Name() == "serve" || c.Name() == "api" {
			gangway.RemoveCommand(c)
		}
	}
	// cobra does this by itself for a command that has none above it.
	gangway.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		msg := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			msg += "\n\nDid you mean this?\n\t" + strings.Join(near, "\n\t") + "\n"
		}
		return errors.New(msg)
	}
	gangway.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	gangway.SuggestionsMinimumDistance = 2
	gangway.Long = "docker gangway asks the daemon of Gangway, a Docker network driver and address manager, as root."
	root := &cobra.Command{
		Use:               "docker",
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE:              func(cmd *cobra.Command, _ []string) error { return gangway.Help() },
	}
	root.SetFlagErrorFunc(gangway.FlagErrorFunc())
	root.AddCommand(gangway, &cobra.Command{
		Use:    "docker-cli-plugin-metadata",
		Hidden: true,
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return json.NewEncoder(cmd.OutOrStdout()).Encode(metadata{
				SchemaVersion: "0.1.0", Vendor: "Gangway", Version: o.Version.Version,
				ShortDescription: "Docker networks and published ports", URL: "https://github.com/gangway-net/gangway",
			})
		},
	})
	// docker hands its own flags on. They say which engine it would ask; this command
	// asks the daemon of its own host.
	f := root.PersistentFlags()
	for _, flag := range []struct{ name, short string }{
		{"config", ""}, {"context", "c"}, {"log-level", "l"}, {"tlscacert", ""}, {"tlscert", ""}, {"tlskey", ""},
	} {
		f.StringP(flag.name, flag.short, "", "")
	}
	f.StringArrayP("host", "H", nil, "")
	f.BoolP("debug", "D", false, "")
	f.Bool("tls", false, "")
	f.Bool("tlsverify", false, "")
	f.VisitAll(func(flag *pflag.Flag) { flag.Hidden = true })
	return root
}

// UntilDockerEnds returns a context that ends when the docker command that called the
// program does, or is interrupted: it keeps signals of the terminal to itself.
func UntilDockerEnds(ctx context.Context) context.Context {
	path := os.Getenv(dockerSocket)
	if path == "" {
		return ctx
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return ctx // an older docker, or one that ended
	}
	ctx, end := context.WithCancel(ctx)
	go func() {
		defer end()
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	}()
	return ctx
}
