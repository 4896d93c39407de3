package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
	"github.com/gangway-net/gangway/plugin"
	"github.com/gangway-net/gangway/printable"
)

const policyAllowLong = `Let a running container, or all of a network's, reach a destination beside what its
policy says; "deny" refuses it. The destination is as in gangway.egress.allow.

It counts at once and over restarts of the daemon, until --for is over, or until
"gangway policy revoke". That of a container ends with the container's stop.

A denial goes before all that is allowed. What a network allows counts for those of its
containers that have no list of their own; what it denies, for all of them.`

func policyAllow(deny bool) policyLeaf {
	var network string
	var span time.Duration
	l := policyLeaf{
		use: "allow NETWORK|CONTAINER DESTINATION", short: "Let a container or a network reach a destination, for some time or for good", long: policyAllowLong,
		args: exactly(2), complete: whoms,
		flags: func(f *pflag.FlagSet) {
			f.DurationVar(&span, "for", 0, "how long it counts, such as 1h (default: until it is revoked)")
			f.StringVar(&network, "network", "", "the `NETWORK` of a container that is on several")
		},
	}
	if deny {
		l.use, l.short = "deny NETWORK|CONTAINER DESTINATION", "Refuse a container or a network a destination, for some time or for good"
		l.long = "As \"gangway policy allow\", but the destination is refused: flows to it end at once."
	}
	l.run = func(ctx context.Context, q query, args []string) error {
		if span < 0 || span > 0 && span < time.Second {
			return fmt.Errorf("--for %s: want 1s or more, such as 1h", span)
		}
		of, err := q.one(ctx, args[0], network)
		if err != nil {
			return err
		}
		var made plugin.Exception
		raw, err := q.send(ctx, http.MethodPost, "policies/exceptions", plugin.PolicyException{Whom: of, Deny: deny, To: args[1], Seconds: int64(span / time.Second)}, &made)
		if err != nil || q.json {
			return errors.Join(err, q.printAsked(raw, err))
		}
		_, err = fmt.Fprintf(q.out, "%s %s %s, %s\n", q.whom(made.Whom, made.NamesOfWhom), verb(deny), made.To, untilText(made.Until))
		return err
	}
	return l
}

// printAsked prints an answer that there is.
func (q query) printAsked(raw []byte, err error) error {
	if err != nil {
		return nil
	}
	return q.printJSON(raw)
}

func policyRevoke() policyLeaf {
	var network string
	return policyLeaf{
		use: "revoke NETWORK|CONTAINER DESTINATION", short: "Take back what allow or deny has made", args: exactly(2), complete: whoms,
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&network, "network", "", "the `NETWORK` of a container that is on several")
		},
		run: func(ctx context.Context, q query, args []string) error {
			of, err := q.one(ctx, args[0], network)
			if err != nil {
				return err
			}
			var none struct{}
			if _, err = q.send(ctx, http.MethodDelete, plugin.PolicyQuery("exceptions", of, args[1]), nil, &none); err == nil {
				_, err = fmt.Fprintln(q.out, args[1]+": revoked")
			}
			return err
		},
	}
}

func policyExplain() policyLeaf {
	return policyLeaf{
		use: "explain CONTAINER|NETWORK", short: "Show what counts, and where each line comes from", args: exactly(1), complete: whoms,
		long: `Show each thing that is said of who may talk to whom, and by what: an option of the
container or of the network, a policy, a setting of the daemon, an exception, or nobody.
Lines in brackets do not count: something else goes before them. Behind them are the addresses
that are open by names, of the container or of all that have the policy.`,
		run: func(ctx context.Context, q query, args []string) error {
			all, err := q.whoms(ctx, args[0], "")
			if err != nil {
				return err
			}
			for i, of := range all {
				if err := q.explain(ctx, of, i > 0); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (q query) explain(ctx context.Context, of driver.Whom, more bool) error {
	var e plugin.PolicyExplanation
	raw, err := q.send(ctx, http.MethodGet, plugin.PolicyQuery("explain", of, ""), nil, &e)
	if err != nil || q.json {
		return errors.Join(err, q.printAsked(raw, err))
	}
	title := q.whom(e.Whom, e.NamesOfWhom)
	switch {
	case e.Policy == (config.Policy{}):
		title += ": nothing is refused"
	case e.Policy.Mode == config.ModeLearn:
		title += ": a policy is learned just now, so nothing is refused"
	case e.Policy.Mode == config.ModeAudit:
		title += ": audit, nothing is refused but all is counted"
	}
	if more {
		title = "\n" + title
	}
	if _, err := fmt.Fprintln(q.out, printable.Text(title)); err != nil {
		return err
	}
	var rows [][]string
	for _, l := range e.Lines {
		row := []string{"  " + l.Word, l.Value, source(l)}
		if l.Unused {
			row = []string{"  (" + l.Word, l.Value, source(l) + ")"}
		}
		if l.Closed != "" {
			row[2] += "; closed: " + l.Closed
		}
		rows = append(rows, row)
	}
	for _, l := range e.Learned {
		rows = append(rows, []string{"  learned", l.Name + l.Ports + " at " + l.Address.String(), "open until " + stamp(l.Until)})
	}
	return q.table(nil, rows)
}

// source says where a line comes from.
func source(l driver.PolicyLine) string {
	switch l.From {
	case "container", "network":
		return "option " + l.Source + " of the " + l.From
	case "policy":
		return "policy " + l.Source
	case "missing policy":
		return "policy " + l.Source + ", which is not there: closed until it is applied"
	case "setting":
		return "setting " + l.Source
	case "exception":
		return "exception of the " + l.Source + ", " + untilText(l.Until)
	}
	return "nothing is said"
}

func policyTest() policyLeaf {
	return policyLeaf{
		use: "test CONTAINER DESTINATION", short: "Say whether a policy lets a container reach an address or a name, and by which line", args: exactly(2), complete: whoms,
		long: `Say what the policy of a container, or of a network, says of a flow to an address, such
as 10.0.5.7:5432/tcp, or to a name, such as registry.example:443; an address alone is asked for by
ping. No packet is sent, and no other rule is asked: that is "gangway trace". An address that is open
since a name has it is told with that name.

Exit code 0 means that it is allowed, 3 that it is refused.`,
		run: func(ctx context.Context, q query, args []string) error {
			all, err := q.whoms(ctx, args[0], "")
			if err != nil {
				return err
			}
			refused := false
			for _, of := range all {
				var v plugin.PolicyVerdict
				raw, err := q.send(ctx, http.MethodGet, plugin.PolicyQuery("test", of, args[1]), nil, &v)
				if err == nil && q.json {
					err = q.printJSON(raw)
				} else if err == nil {
					err = q.verdict(v)
				}
				if err != nil {
					return err
				}
				refused = refused || !v.Allowed && !v.Audit
			}
			if refused {
				return &exitError{exitDiffers, nil}
			}
			return nil
		},
	}
}

func (q query) verdict(v plugin.PolicyVerdict) error {
	what, end := "allowed", ""
	switch {
	case !v.Allowed && v.Audit:
		what, end = "would be refused", ", and passes in mode audit"
	case !v.Allowed:
		what = "refused"
	}
	line := q.whom(v.Whom, v.NamesOfWhom) + " to " + v.To + ": " + what
	if v.Rule.Word != "" {
		line += " by " + strings.TrimSpace(v.Rule.Word+" "+v.Rule.Value) + " (" + source(v.Rule) + ")"
	}
	line += end
	for _, l := range v.Learned {
		line += fmt.Sprintf("\n  learned: %s is an address of %s, open%s until %s", l.Address, l.Name, l.Ports, stamp(l.Until))
	}
	if v.Note != "" {
		line += "\n  " + v.Note
	}
	_, err := fmt.Fprintln(q.out, printable.Text(line))
	return err
}

// whom names a network, or a container on it.
func (q query) whom(of driver.Whom, n plugin.NamesOfWhom) string {
	network := "network " + q.name(n.NetworkName, of.NetworkID)
	if of.EndpointID == "" {
		return network
	}
	return "container " + q.name(n.ContainerName, of.EndpointID) + " on " + network
}

func verb(deny bool) string {
	if deny {
		return "deny"
	}
	return "allow"
}

func untilText(until *time.Time) string {
	if until == nil {
		return "until it is revoked"
	}
	return "until " + stamp(*until)
}

// whoms completes the first argument.
func whoms(ctx context.Context, q query, have int) []string {
	if have > 0 {
		return nil
	}
	return append(containerNames(ctx, q), networkNames(ctx, q)...)
}

// one is the one that is meant.
func (q query) one(ctx context.Context, word, network string) (driver.Whom, error) {
	all, err := q.whoms(ctx, word, network)
	if err == nil && len(all) > 1 {
		err = fmt.Errorf("%q is on %d networks: name one with --network", word, len(all))
	}
	if err != nil {
		return driver.Whom{}, err
	}
	return all[0], nil
}

// whoms are the places of a container, of one network if that is named, or the network
// that is called so.
func (q query) whoms(ctx context.Context, word, network string) (all []driver.Whom, err error) {
	networks, err := fetch[plugin.Network](ctx, q, "networks")
	if err != nil {
		return nil, err
	}
	nets, notNetwork := pick("network", "is one of Gangway's", word, networkRefs(networks.list))
	if notNetwork != nil {
		q.awaitContainer(ctx, word)
	}
	endpoints, err := fetch[plugin.Endpoint](ctx, q, "endpoints")
	if err != nil {
		return nil, err
	}
	found, notContainer := pick("container or network", "is one of Gangway's", word, append(containers(endpoints.list), networkRefs(networks.list)...))
	if notContainer != nil {
		return nil, notContainer
	}
	if all, err = places(endpoints.list, networks.list, found, network); err != nil {
		return nil, err
	}
	switch {
	case len(all) > 0 && notNetwork == nil:
		return nil, fmt.Errorf("%q is a network and a container: give an id", word)
	case len(all) > 0:
		return all, nil
	case network != "" && notNetwork != nil:
		return nil, &notFoundError{fmt.Sprintf("%q is not on network %s", word, network)}
	}
	for _, id := range slices.Sorted(maps.Keys(nets)) {
		all = append(all, driver.Whom{NetworkID: id})
	}
	return all, nil
}

// places are the endpoints of containers, of one network if that is named.
func places(endpoints []plugin.Endpoint, networks []plugin.Network, of map[string]bool, network string) (all []driver.Whom, err error) {
	var on map[string]bool
	if network != "" {
		if on, err = pick("network", "is one of Gangway's", network, networkRefs(networks)); err != nil {
			return nil, err
		}
	}
	for _, e := range endpoints {
		if of[key(e.Whose, e.ID)] && (on == nil || on[e.NetworkID]) {
			all = append(all, driver.Whom{NetworkID: e.NetworkID, EndpointID: e.ID})
		}
	}
	return all, nil
}
