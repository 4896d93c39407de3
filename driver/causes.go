package driver

import (
	"context"
	"strings"

	"github.com/gangway-net/gangway/driver/cause"
	"github.com/gangway-net/gangway/driver/firewall"
)

// causes are what keeps the datapath from being ok. What the kernel does not tell in time is
// told as it was known last.
func (d *Driver) causes(ctx context.Context) (all []cause.Cause) {
	unmet := d.unmetSoon(ctx)
	all = append(all, d.found()...)
	all = append(append(all, causesOf(cause.Hung, d.asked.hung()...)...), unmet...)
	if text := d.owners.Text(); text != "" {
		all = append(all, cause.Of(cause.Unclaimed, text))
	}
	all = append(all, causesOf(cause.NoPolicy, d.missingPolicies()...)...)
	all = append(all, causesOf(cause.NoNetwork, d.unmetNetworks()...)...)
	_, likely := d.keeper.Flapping()
	for _, line := range likely {
		all = append(all, cause.Of(cause.Flapping, "somebody undoes a repair again and again: "+line))
	}
	for _, c := range []struct {
		code cause.Code
		text string
	}{
		{cause.Unstored, d.asked.unstored()},
		{cause.Uncounted, d.drops.failing()},
		{cause.Unremembered, d.journal.Trouble()},
		{cause.Unguarded, d.unguarded()},
	} {
		if c.text != "" {
			all = append(all, cause.Of(c.code, c.text))
		}
	}
	if firewall.ProtectionOf(d.o.Firewall) == firewall.NoProtection {
		all = append(all, cause.Of(cause.Unprotected, "nothing keeps others from flushing the rules"))
	}
	return all
}

// found are those that the last comparison has found.
func (d *Driver) found() (all []cause.Cause) {
	found := d.health.Report()
	for line := range strings.Lines(found.Problem) {
		all = append(all, cause.Of(cause.CheckFailed, strings.TrimSpace(line)))
	}
	return append(all, causesOf(cause.PortUnheld, found.Unheld...)...)
}

func (d *Driver) unguarded() string {
	if d.o.Unguarded == "" {
		return ""
	}
	return "containers are not kept from claiming addresses of their neighbours: " + d.o.Unguarded
}

// causesOf are causes of one code.
func causesOf(code cause.Code, what ...string) (all []cause.Cause) {
	for _, line := range what {
		all = append(all, cause.Of(code, line))
	}
	return all
}

// retryStore has the store tried again where it did not take what came last: whether it does
// now is not to wait for the next call of an engine.
func (d *Driver) retryStore() {
	if d.asked.unstored() == "" {
		return
	}
	if err := d.writer.TryStore(); err != nil {
		d.o.Log.WithError(err).Debug("the state cannot be written still")
	}
}
