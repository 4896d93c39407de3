package plugin

import (
	"context"

	"github.com/docker/go-plugins-helpers/sdk"

	"github.com/gangway-net/gangway/driver"
)

// Drops tells what was refused. Package driver's Driver is the real one.
type Drops interface {
	Dropped(ctx context.Context) []driver.Dropped
}

// Dropped is how many packets were refused at one place, with the names.
type Dropped struct {
	driver.Dropped
	Whose
}

// routeDrops answers with what was refused.
func (s *Server) routeDrops(h sdk.Handler) {
	if s.o.Drops == nil && s.o.Refuse == nil {
		return
	}
	s.adminRoute(h, "drops", func(ctx context.Context) (any, error) {
		out := []Dropped{}
		for _, d := range s.o.Drops.Dropped(ctx) {
			out = append(out, Dropped{d, s.whose(d.NetworkID, d.EndpointID)})
		}
		return out, nil
	})
}
