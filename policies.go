package main

import (
	"context"
	"errors"

	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/firewall"
	"github.com/gangway-net/gangway/driver/firewall/nftables"
	"github.com/gangway-net/gangway/driver/firewall/policed"
)

// openFirewall opens the firewall, which has what bounds neighbours beside it, and policies.
// Where the kernel cannot keep these, unpoliced says why.
func (d *daemon) openFirewall(ctx context.Context, settings config.Settings, log *logrus.Entry) (rules *policed.Backend, unpoliced string, err error) {
	shared, err := checkMark(ctx, firewall.Mark(settings.Mark))
	if err != nil {
		return nil, "", err
	}
	if shared != "" {
		d.conditions.last(cause.MarkShared, shared)
		log.Warn(cause.Of(cause.MarkShared, shared).Line())
	}
	b, err := newFirewall(ctx, settings.Firewall, firewall.Mark(settings.Mark), log)
	if err != nil {
		return nil, "", err
	}
	bounded := withNeighbourLimit(b, log)
	d.conditions.ask(cause.Unlimited, bounded.trouble)
	if rules, unpoliced, err = d.withPolicies(ctx, bounded, counterOf(b), log); err != nil {
		bounded.Close()
		return nil, "", err
	}
	d.closers = append(d.closers, rules.Close)
	if unpoliced == "" { // the kernel has nf_tables
		d.checkLookups(ctx, log)
	}
	if d.resolver != nil {
		d.closers = append(d.closers, d.resolver.Close)
	}
	return rules, unpoliced, nil
}

// checkLookups finds a kernel whose sets find the wrong addresses.
func (d *daemon) checkLookups(ctx context.Context, log *logrus.Entry) {
	ignored, err := nftables.SixthByteIgnored(ctx)
	if err != nil {
		log.WithError(err).Debug("firewall: it is not known whether this kernel finds the right IPv6 addresses")
		return
	}
	if ignored {
		c := cause.Of(cause.Mismatched, "this kernel takes an IPv6 address for another one that differs in its sixth byte alone")
		d.conditions.last(c.Code, c.What)
		log.Warn(c.Line())
	}
}

// withPolicies puts the layer of policies beside a backend. Where the kernel cannot keep
// policies, why says so.
func (d *daemon) withPolicies(ctx context.Context, b firewall.Backend, counter firewall.Counter, log *logrus.Entry) (layered *policed.Backend, why string, err error) {
	o := policed.Options{Backend: b, Flows: d.flows, Counter: counter, Log: log}
	table, err := nftables.NewPolicyTable(ctx, log, false)
	switch {
	case errors.Is(err, nftables.ErrNoPolicy):
		o.Why, why = err, err.Error()
		log.Info("firewall: networks cannot have policies here: " + why)
	case err != nil:
		return nil, "", err
	default:
		if d.resolver, err = d.openResolver(table, log); err != nil {
			table.Close()
			return nil, "", err
		}
		o.Table, o.Resolver, o.Names = table, d.resolver, table
		if !table.Owned() {
			log.Debug("firewall: others can take policies away, until they are repaired")
		}
	}
	return policed.New(o), why, nil
}
