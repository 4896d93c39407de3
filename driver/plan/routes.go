package plan

import (
	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
	"github.com/gangway-net/gangway/driver/spec"
)

// hostRoutes are the host's to what is behind one of the network's containers.
func hostRoutes(n *model.Network) (all []spec.Route) {
	for _, r := range config.ParseRoutes(n.Options.HostRoutes) {
		all = append(all, spec.Route{To: r.To, Via: r.Via})
	}
	return all
}
