package kinds

import (
	"context"

	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/plan"
	"github.com/gangway-net/gangway/driver/spec"
)

// ndpProxies are the links by which the host answers for containers' addresses. Which these are may follow the host's
// prefixes.
type ndpProxies struct{ Parts }

func (p ndpProxies) check(ctx context.Context, c *drift.Comparison) {
	each{p.Kernel, p.Desired, func(s *model.State, n *model.Network) []atLinks {
		return orNone(plan.NDPProxy(n, plan.OutsidePrefix(s, n, c.Facts.Known().Prefixes)))
	}}.check(ctx, c)
}

// proxied are these addresses. They come after the pairs by which containers have them. An entry outlives a
// daemon that was killed before it took it away, and no link that goes takes it along.
type proxied struct{ Parts }

func (p proxied) check(ctx context.Context, c *drift.Comparison) {
	each{p.Kernel, p.Desired, func(s *model.State, n *model.Network) (all []atLinks) {
		for _, a := range plan.ProxiedOf(s, n, c.Facts.Known(), false) {
			all = append(all, a)
		}
		return all
	}}.check(ctx, c)
	strays, err := p.strays(ctx, c)
	c.Note(nil, err)
	if len(strays) > 0 {
		c.Alone(ctx, func() ([]string, error) { return p.removeStrays(ctx, c) })
	}
}

// strays are the addresses of no container that the host answers for.
func (p proxied) strays(ctx context.Context, c *drift.Comparison) ([]spec.Proxied, error) {
	var proxies []spec.NDPProxy
	var wanted []spec.Proxied
	facts := c.Facts.Known()
	s, unlock := p.Desired.Read()
	for _, n := range s.Networks {
		proxy, there := plan.NDPProxy(n, plan.OutsidePrefix(s, n, facts.Prefixes))
		if !there || !c.About(proxy.Link) {
			continue
		}
		proxies = append(proxies, proxy)
		wanted = append(wanted, plan.ProxiedOf(s, n, facts, true)...)
	}
	unlock()
	return p.Kernel.Strays(ctx, proxies, wanted)
}

// removeStrays looks again, while no verb runs that may be about to take one away, and removes what there is.
func (p proxied) removeStrays(ctx context.Context, c *drift.Comparison) (fixed []string, err error) {
	strays, err := p.strays(ctx, c)
	for _, o := range strays {
		if err == nil {
			err = p.Kernel.Remove(ctx, o)
		}
		if err == nil {
			fixed = append(fixed, o.String()+", which no container has: removed")
		}
	}
	return fixed, err
}
