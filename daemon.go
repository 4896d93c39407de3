package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/conntrack"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/driver/firewall/firewalld"
	"github.com/gangway-net/gangway/driver/hostport"
	"github.com/gangway-net/gangway/driver/link"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/resolver"
	"github.com/gangway-net/gangway/driver/watch"
	"github.com/gangway-net/gangway/ipam"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/plugin/engine"
	"github.com/gangway-net/gangway/plugin/metrics"
	"github.com/gangway-net/gangway/plugin/names"
	"github.com/gangway-net/gangway/plugin/page"
	"github.com/gangway-net/gangway/plugin/store"
)

// takeoverTime is how long a new daemon waits for the last one to end. An
// engine that was killed leaves its plugin running for a moment.
const takeoverTime = 8 * time.Second

// errTaken says that a second daemon was started on one host.
var errTaken = errors.New("another gangway (plain daemon or managed plugin) serves this host already")

// gcPercent is by how much the heap grows before it is collected: with many
// endpoints nearly all of it lives long, and half of it again as garbage is
// enough. GOGC in the environment takes precedence.
const gcPercent = 50

// serve runs the daemon until ctx ends. It listens first and restores the
// networks then: an engine that starts waits for a call, not for a socket.
func serve(ctx context.Context, settings config.Settings, version plugin.Version) error {
	log, err := newLog(settings)
	if err != nil {
		return err
	}
	book := names.New()
	log.Logger.AddHook(names.Hook{Book: book})
	log.Infof("gangway %s starts, state in %s", version.Version, settings.StateDir)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	sock, err := listen(ctx, settings.Socket, log)
	if err != nil {
		return err
	}
	lock, err := takeOver(ctx, takeoverTime)
	if err != nil {
		return refuseStart(ctx, sock, log, version, err)
	}
	defer func() { logError(log, lock.Close()) }()
	d, err := newDaemon(ctx, settings, book, log)
	if err != nil {
		return refuseStart(ctx, sock, log, version, err)
	}
	defer d.close()
	d.journal.Add(events.Started, "gangway "+version.Version+" has started", "")
	d.dropCapabilities(log)
	measured := d.metrics(version, book, log)
	defer measured.Close()
	d.conditions.ask(cause.Unserved, measured.Unserved)
	d.conditions.ask(cause.LeaseLost, d.lostLeases)
	server, err := plugin.New(plugin.Options{
		Networks: d.driver, Addresses: d.addresses, Inspector: d.driver, Holdings: d.addresses, Drops: d.driver, Policies: d.driver, Rates: d.driver, Foreign: d.driver, Traffic: d.links, Names: book, Calls: measured, Metrics: measured, Causes: d.conditions.list, Serving: d.serving,
		Version: version, Settings: settings.Texts, Log: log, Notify: notify, Watchdog: watchdog(log),
	})
	if err != nil {
		return errors.Join(err, sock.Close())
	}
	measured.Attach(server)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var background sync.WaitGroup
	if settings.Metrics != (config.Listen{}) {
		beside := pageOf(server, settings, log)
		background.Go(func() { measured.Serve(ctx, settings.Metrics, beside, log) })
	}
	background.Go(func() {
		if failed := d.driver.Restore(ctx); failed != nil {
			stop(failed)
			return
		}
		server.Ready()
		d.keep(ctx, settings.Engines, book, log)
	})
	err = server.Serve(ctx, sock)
	stop(nil)
	background.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	}
	return err
}

// pageOf is the page beside the metrics, or nil: without a secret it is for this host alone.
func pageOf(server *plugin.Server, settings config.Settings, log *logrus.Entry) http.Handler {
	if !settings.Metrics.Local() && settings.PageToken == "" {
		log.Infof("the page is not served at %s, which others reach: set GANGWAY_PAGE_TOKEN for it", settings.Metrics)
		return nil
	}
	return page.New(page.Options{Source: server, Token: settings.PageToken, Log: log})
}

// notify tells the service manager, if there is one.
func notify(state string) error {
	_, err := systemd.SdNotify(false, state)
	return err
}

// watchdog is what the service manager asks of this process.
func watchdog(log *logrus.Entry) time.Duration {
	within, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.WithError(err).Warn("the service manager will not hear that the daemon works")
	}
	return within
}

// listen takes the socket that a service manager made, if there is one, or makes
// it. The first outlives the process: connections wait there for the next.
func listen(ctx context.Context, path string, log *logrus.Entry) (*plugin.Socket, error) {
	if files := activation.Files(true); len(files) > 0 {
		log.Infof("the service manager passed the socket %s", path)
		return plugin.Inherit(files, path)
	}
	return plugin.Listen(ctx, path)
}

// daemon holds the parts that live as long as the process.
type daemon struct {
	driver    *driver.Driver
	addresses *ipam.Allocator
	sources
	journal *events.Journal
	// changes says when the kernel is to be compared with the state.
	changes drift.Changes
	closers []func()
	// conditions are what keeps the daemon from being ok beside the driver's.
	conditions conditions
}

// sources are what others ask beside the driver.
type sources struct {
	links *link.Handle
	flows *conntrack.Table
	// resolver answers questions for names; nil where the kernel keeps no policies.
	resolver *resolver.Resolver
}

// newDaemon wires settings -> store -> kernel -> address manager and driver.
func newDaemon(ctx context.Context, settings config.Settings, book *names.Book, log *logrus.Entry) (_ *daemon, err error) {
	d := &daemon{}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	boot, err := thisBoot()
	if err != nil {
		return nil, err
	}
	pools, networks, err := d.openState(settings.StateDir, boot, log)
	if err != nil {
		return nil, err
	}
	d.openJournal(settings.StateDir, book, log)
	if d.links, err = link.New(link.Options{}); err != nil {
		return nil, err
	}
	d.closers = append(d.closers, d.links.Close)
	if d.flows, err = conntrack.New(); err != nil {
		return nil, err
	}
	d.closers = append(d.closers, d.flows.Close)
	rules, unpoliced, err := d.openFirewall(ctx, settings, log)
	if err != nil {
		return nil, err
	}
	kernel, err := watch.New(watch.Options{Log: log})
	if err != nil {
		return nil, err
	}
	d.changes = kernel
	d.closers = append(d.closers, func() { logError(log, kernel.Close()) })
	zone := firewalld.New(firewalld.Options{Changed: kernel.Changed, Log: log})
	d.closers = append(d.closers, func() { logError(log, zone.Close()) })
	ports := hostport.New(log, d)
	d.closers = append(d.closers, func() { logError(log, ports.Close()) })
	if err = d.openAddresses(settings, pools, book, log); err != nil {
		return nil, err
	}
	d.driver = driver.New(driver.Options{
		Links: d.links, Host: d.links, Facts: d.links, Strangers: d.links, Paths: d.links, Firewall: rules, Zones: zone, Ports: ports, Origins: d.links, Flows: d.flows,
		Store: networks, BootID: boot, Router: settings.Router, Refused: rules, Uses: rules, Learned: rules, Policy: settings.Policy, Unpoliced: unpoliced, PortDrops: d.links,
		DropLog: d.openDropLog, NameOf: func(id string) string { return book.Container(id).Name }, Servers: hostServers(),
		Unguarded: d.unguarded(ctx, log), Suspect: kernel.Suspect, Journal: d.journal, Log: log,
	})
	d.closers = append(d.closers, d.driver.Wait)
	return d, nil
}

// dropCapabilities gives up the rights that the daemon does not need.
func (d *daemon) dropCapabilities(log *logrus.Entry) {
	if err := dropCapabilities(); err != nil {
		log.WithError(err).Warn("the daemon keeps more rights than it needs")
		d.conditions.last(cause.Privileged, "the daemon keeps more rights than it needs: "+err.Error())
	}
}

// unguarded says why the kernel cannot filter what containers send; empty if it can.
func (d *daemon) unguarded(ctx context.Context, log *logrus.Entry) string {
	err := d.links.ProbePortFilter(ctx)
	if err == nil {
		return ""
	}
	log.Warn("containers are not kept from claiming addresses of their neighbours: " + err.Error() + "; load the kernel modules sch_ingress and cls_bpf and start gangway again")
	return err.Error()
}

// metrics are those of the daemon, whose server is still to be attached.
func (d *daemon) metrics(version plugin.Version, book *names.Book, log *logrus.Entry) *metrics.Metrics {
	return metrics.New(metrics.Options{
		Datapath: d.driver, Traffic: d.links, Flows: d.flows, Pools: d.addresses, Names: labels{book}, Version: version, Log: log,
	})
}

// labels are the names that metrics have.
type labels struct{ book *names.Book }

// Names returns what an engine calls a network, and the container that has an endpoint.
func (l labels) Names(networkID, endpointID string) (network, container string) {
	return l.book.Network(networkID), l.book.Container(endpointID).Name
}

// Admits asks the driver which clients may use relays; it publishes their ports.
func (d *daemon) Admits(link int, to netip.Addr, group bool) bool {
	return d.driver.Admits(link, to, group)
}

// openState opens what the address manager and the driver keep in a folder.
func (d *daemon) openState(folder, boot string, log *logrus.Entry) (ipam.Store, driver.Store, error) {
	files, err := store.OpenFiles(folder, boot, takeoverTime)
	if err != nil {
		return nil, nil, err
	}
	d.closers = append(d.closers, func() { logError(log, files.Close()) })
	networks, err := files.Split("driver", model.EndpointKeys)
	if err != nil {
		return nil, nil, err
	}
	return files.Bucket("ipam"), networks, nil
}

// eventsFile is where events are kept, in the folder of the state.
const eventsFile = "events.jsonl"

// openJournal opens what remembers events. Its file is no part of the state: one that cannot
// be used is told of, and keeps nobody from the networks.
func (d *daemon) openJournal(folder string, book *names.Book, log *logrus.Entry) {
	d.journal = events.Open(events.Options{
		File:     filepath.Join(folder, eventsFile),
		Describe: func(e *events.Event) { plugin.Describe(book, e) },
		Tell: func(problem string) {
			if problem == "" {
				log.Info("events are kept over a restart again")
				return
			}
			log.Warn("events are not kept over a restart: " + problem)
		},
	})
	d.closers = append(d.closers, d.journal.Close)
}

// thisBoot tells one boot of the host from another.
func thisBoot() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("tell this boot of the host from others: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// keep has the kernel follow the state, and the state and the names follow what the
// engines behind the API sockets have, until ctx ends.
func (d *daemon) keep(ctx context.Context, sockets []string, book *names.Book, log *logrus.Entry) {
	var follow sync.WaitGroup
	takeBack := engine.RecoverOptions{Unclaimed: d.driver, Pools: d.addresses}
	compare := engine.Options{Networks: d.driver, Addresses: d.addresses, Log: log}
	for _, socket := range sockets {
		client := engine.NewClient(socket)
		takeBack.Engines, compare.Engines = append(takeBack.Engines, client), append(compare.Engines, client)
		follow.Go(func() {
			engine.FollowNames(ctx, engine.NameOptions{
				Engine: client, Names: book.Source(), Tell: func(err error) { d.heard(ctx, socket, err, log) }, Log: log.WithField("engine", socket),
			})
		})
	}
	if len(sockets) > 0 {
		follow.Go(func() { engine.Recover(ctx, takeBack) })
		follow.Go(func() { engine.Follow(ctx, compare) })
	} else {
		d.driver.Doubt(engine.Off)
	}
	follow.Go(func() { d.addresses.KeepLeases(ctx) })
	follow.Go(func() { d.driver.CountDrops(ctx) })
	follow.Go(func() { d.driver.KeepExceptions(ctx) })
	d.driver.KeepReconciled(ctx, d.changes, drift.Pace{})
	follow.Wait()
}

func (d *daemon) close() {
	for i := len(d.closers) - 1; i >= 0; i-- {
		d.closers[i]()
	}
}

// takeOver makes this process the only gangway of its network namespace. The
// lock is an abstract unix socket: it belongs to the namespace, as bridges and
// rules do, needs no file, and ends with the process. Two daemons with
// different sockets and state would remove each other's rules. Whoever is there gets
// some patience for its end.
func takeOver(ctx context.Context, patience time.Duration) (net.Listener, error) {
	deadline := time.Now().Add(patience)
	for {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "unix", "@gangway")
		if err == nil {
			return l, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w: stop it first (%w)", errTaken, err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func logError(log *logrus.Entry, err error) {
	if err != nil {
		log.WithError(err).Warn("at the end")
	}
}
