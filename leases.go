package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/events"
	"github.com/gangway-net/gangway/ipam"
	"github.com/gangway-net/gangway/ipam/lease"
	"github.com/gangway-net/gangway/ipam/lease/dhcp"
	"github.com/gangway-net/gangway/plugin/names"
)

// openAddresses opens the address manager, which asks DHCP servers of LANs for what is theirs.
func (d *daemon) openAddresses(settings config.Settings, pools ipam.Store, book *names.Book, log *logrus.Entry) (err error) {
	server := dhcp.New(dhcp.Options{Awake: func(ctx context.Context, link string) (func(), error) { return d.links.Awake(ctx, link) }})
	d.addresses, err = ipam.New(ipam.Options{
		Ranges: settings.Pools, Store: pools, Used: d.links.Prefixes, Server: server, Log: log,
		Shared:       func(a netip.Addr) bool { return d.driver.Shared(a) },
		Name:         func(a netip.Addr) string { return book.Container(d.driver.Holder(a)).Name },
		LeaseChanged: func(l lease.Lease) { d.leaseChanged(l, log) },
	})
	return err
}

// leaseChanged tells of a lease that is lost, or holds again.
func (d *daemon) leaseChanged(l lease.Lease, log *logrus.Entry) {
	if l.Gone == "" {
		text := fmt.Sprintf("the lease of %s%s holds again", l.Address.Addr(), called(l))
		log.Info(text)
		d.journal.Add(events.Solved, text, "")
		return
	}
	log.Warn(lost(l) + ": the container keeps the address; let the server answer, or reserve the address there, or start the container again")
	d.journal.Add(events.Problem, lost(l), "")
}

func lost(l lease.Lease) string {
	return fmt.Sprintf("the lease of %s%s is lost: %s", l.Address.Addr(), called(l), l.Gone)
}

// called says whose a lease is, by the name that the server knows.
func called(l lease.Lease) string {
	if l.Name == "" {
		return ""
	}
	return " (" + l.Name + ")"
}

// lostLeases says which leases are lost, in one line; "" for none.
func (d *daemon) lostLeases() string {
	all := d.addresses.LostLeases()
	slices.SortFunc(all, func(a, b lease.Lease) int { return a.Address.Addr().Compare(b.Address.Addr()) })
	const most = 3
	var lines []string
	for _, l := range all[:min(len(all), most)] {
		lines = append(lines, lost(l))
	}
	if more := len(all) - most; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "; ")
}
