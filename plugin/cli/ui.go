package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/page"
	"github.com/gangway-net/gangway/plugin/webserver"
	"github.com/gangway-net/gangway/printable"
)

// uiAddress is where the page is served unless the user says otherwise.
const uiAddress = "127.0.0.1:9324"

// tokenVariable is the token's, for the daemon and for this command.
const tokenVariable = "GANGWAY_PAGE_TOKEN"

const uiLong = `Serve a page for a browser that shows networks, containers, published ports, what
passes and what is refused, live, until interrupted.

It prints the address, with a token that the page asks for: a new one each time,
unless ` + tokenVariable + ` has one. Nobody reads the page without it, on whatever
address. To look from another machine, leave the address as it is and go by ssh:

  ssh -L 9324:127.0.0.1:9324 root@HOST gangway ui

The page only reads. The daemon serves the same one beside its metrics
(GANGWAY_METRICS).`

// uiFlags are the flags of gangway ui.
type uiFlags struct{ listen, socket string }

// uiCommand is a server that asks the daemon.
func uiCommand(o Options) *cobra.Command {
	var flags uiFlags
	cmd := &cobra.Command{
		Use:     "ui",
		Short:   "Serve a page that shows networks, containers and traffic live",
		Long:    uiLong,
		GroupID: askGroup,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return serveUI(cmd, o, flags) },

		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.StringVar(&flags.listen, "listen", uiAddress, "where to serve it (`ADDRESS:PORT`, or unix:/PATH)")
	f.StringVar(&flags.socket, "socket", "", "the daemon's socket `file` (default: the one that answers in "+o.PluginDir+")")
	return cmd
}

func serveUI(cmd *cobra.Command, o Options, flags uiFlags) error {
	ctx := cmd.Context()
	at, err := config.ParseListen(flags.listen)
	if err == nil && at == (config.Listen{}) {
		err = errors.New("want an address, such as " + uiAddress)
	}
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	token := rand.Text()
	if v := os.Getenv(tokenVariable); v != "" && v != "off" {
		if token, err = config.ParseToken(v); err != nil {
			return fmt.Errorf("%s: %w", tokenVariable, err)
		}
	}
	source := remote{func(ctx context.Context) (*daemon, error) { return findDaemon(ctx, o.PluginDir, flags.socket) }}
	if _, err = source.find(ctx); err != nil {
		return err
	}
	l, err := webserver.Listen(ctx, at)
	if err != nil {
		return fmt.Errorf("serve the page: %w: choose another address with --listen", err)
	}
	logger := logrus.New()
	logger.SetOutput(cmd.ErrOrStderr())
	log := logrus.NewEntry(logger)
	if _, err = fmt.Fprintln(cmd.OutOrStdout(), printable.Word("The page is at "+uiURL(at, token)+" until this command is interrupted.")); err != nil {
		return errors.Join(err, l.Close())
	}
	return webserver.Serve(ctx, l, page.New(page.Options{Source: source, Token: token, Log: log}), log)
}

// uiURL is what a browser is given. The part behind # stays in the browser.
func uiURL(at config.Listen, token string) string {
	if at.Network == "unix" {
		return at.String() + ", with the token " + token
	}
	host := at.Address
	if a, err := netip.ParseAddrPort(host); err == nil && a.Addr().IsUnspecified() {
		host = fmt.Sprintf("localhost:%d", a.Port())
	}
	return "http://" + host + "/#token=" + token
}

// remote is a daemon as the source of a page. It is looked for each time: it may have
// become another one.
type remote struct {
	find func(context.Context) (*daemon, error)
}

func (r remote) ask(ctx context.Context, name string, v any) error {
	d, err := r.find(ctx)
	if err != nil {
		return err
	}
	raw, err := d.ask(ctx, name)
	if err != nil {
		return err
	}
	if err = json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("the daemon on %s is of another version: %w", d.socket, err)
	}
	return nil
}

// Decisions is page.Source, as are the others.
func (r remote) Decisions(ctx context.Context, of string) (all []plugin.Decisions, err error) {
	err = r.ask(ctx, "decisions?of="+url.QueryEscape(of), &all)
	return all, err
}

// Graph is page.Source, as are the others.
func (r remote) Graph(ctx context.Context) (g plugin.Graph, err error) {
	err = r.ask(ctx, "graph", &g)
	return g, err
}

func (r remote) EventsAfter(ctx context.Context, number uint64) (list []plugin.Event, err error) {
	err = r.ask(ctx, plugin.EventsQuery(number, 0), &list)
	return list, err
}

func (r remote) FollowDrops(ctx context.Context, take func(plugin.DroppedPacket) error) error {
	d, err := r.find(ctx)
	if err != nil {
		return err
	}
	return d.stream(ctx, plugin.FollowDropsQuery, func(line json.RawMessage) error {
		var p plugin.DroppedPacket
		if err := json.Unmarshal(line, &p); err != nil {
			return fmt.Errorf("the daemon on %s is of another version: %w", d.socket, err)
		}
		return take(p)
	})
}
