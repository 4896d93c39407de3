// Command gangway is a Docker network driver and address manager: "gangway
// serve" is the daemon, the other commands ask it.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/cli"
)

// Set by the linker (-X main.version=…).
var (
	version = "dev"
	commit  = "unknown"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	options := cli.Options{
		Version:    build(),
		ServeFlags: serveFlags,
		Serve: func(cmd *cobra.Command, _ []string) error {
			settings, answer, err := loadSettings(given(cmd.Flags()), os.Environ())
			switch {
			case answer:
				return refuseSettings(cmd.Context(), settings, build(), err)
			case err != nil:
				return err
			}
			return serve(cmd.Context(), settings, build())
		},
	}
	root := cli.New(options)
	if cli.IsDockerPlugin(os.Args[0]) {
		root = cli.NewDocker(options)
		ctx = cli.UntilDockerEnds(ctx)
	}
	code := cli.Execute(ctx, root, os.Stderr)
	stop()
	os.Exit(code)
}

func build() plugin.Version {
	return plugin.Version{Version: version, Commit: commit, Go: runtime.Version()}
}

// serveFlags declares a flag for each setting.
func serveFlags(f *pflag.FlagSet) {
	for _, s := range config.SettingsTable() {
		f.String(s.Flag, s.Default, s.Help+" ("+s.Env+")")
	}
}

// given returns the flags that stand on the command line.
func given(f *pflag.FlagSet) map[string]string {
	values := map[string]string{}
	f.Visit(func(f *pflag.Flag) { values[f.Name] = f.Value.String() })
	return values
}
