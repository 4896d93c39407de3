package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin/dockerapi"
)

const apiLong = `Serve the engine's API on a second socket, with the published ports.

The engine leaves the ports of a plugin's networks out of its answers. On this
socket "docker ps", "docker port" and "docker inspect" show them, and so do
programs that read them there, such as Traefik or Portainer:

  docker -H unix:///run/gangway/docker.sock ps

All other calls and streams pass as they are. Whoever may connect, as root and
the members of the group may, has the power of the engine's own socket.`

// apiFlags are the flags of gangway api.
type apiFlags struct {
	socket, engine, group, daemon string
}

// apiCommand is no question to the daemon, but a server that asks it.
func apiCommand(o Options) *cobra.Command {
	var flags apiFlags
	cmd := &cobra.Command{
		Use:   "api",
		Short: "Serve the engine's API with the published ports, for docker ps and others",
		Long:  apiLong,
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return serveAPI(cmd, o, flags) },

		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&flags.socket, "socket", "/run/gangway/docker.sock", "the socket `file` to serve (absolute path)")
	f.StringVar(&flags.engine, "engine", "/run/docker.sock", "the engine's API socket `file` (absolute path)")
	f.StringVar(&flags.group, "group", "docker", "the `group` that may connect, besides root")
	f.StringVar(&flags.daemon, "daemon", "", "the gangway daemon's socket `file` (default: the one that answers in "+o.PluginDir+")")
	return cmd
}

func serveAPI(cmd *cobra.Command, o Options, flags apiFlags) error {
	ctx := cmd.Context()
	if !filepath.IsAbs(flags.engine) {
		return fmt.Errorf("--engine %q: want an absolute path", flags.engine)
	}
	logger := logrus.New()
	logger.SetOutput(cmd.OutOrStdout())
	logger.SetFormatter(&logrus.TextFormatter{DisableColors: true, FullTimestamp: true})
	log := logrus.NewEntry(logger)
	sock, err := dockerapi.Listen(ctx, flags.socket, flags.group, flags.engine)
	if err != nil {
		return err
	}
	log.Infof("the engine's API of %s is on %s, too, with the published ports", flags.engine, flags.socket)
	if _, err := systemd.SdNotify(false, systemd.SdNotifyReady); err != nil {
		log.WithError(err).Warn("the service manager does not hear that the socket is there")
	}
	return dockerapi.Serve(ctx, sock, dockerapi.Options{
		Engine: flags.engine, Log: log,
		Ports: func(ctx context.Context) (ports []driver.PortStatus, err error) {
			return ports, askDaemon(ctx, o.PluginDir, flags.daemon, "ports", &ports)
		},
		Endpoints: func(ctx context.Context) (map[string]bool, error) {
			var all []driver.EndpointStatus
			err := askDaemon(ctx, o.PluginDir, flags.daemon, "endpoints", &all)
			ids := map[string]bool{}
			for _, e := range all {
				ids[e.ID] = true
			}
			return ids, err
		},
	})
}

// askDaemon asks for a list. The daemon is looked for each time: it may have become another
// one, plain or managed.
func askDaemon(ctx context.Context, dir, socket, name string, into any) error {
	d, err := findDaemon(ctx, dir, socket)
	if err != nil {
		return err
	}
	raw, err := d.ask(ctx, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("the daemon on %s is of another version: %w", d.socket, err)
	}
	return nil
}
