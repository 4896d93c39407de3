package plugin

import (
	"context"

	"github.com/docker/go-plugins-helpers/sdk"

	"github.com/gangway-net/gangway/driver"
)

// Foreign tells of ports of others on bridges of networks. Package driver's Driver is the real
// one.
type Foreign interface {
	ForeignPorts(ctx context.Context) ([]driver.ForeignPort, error)
}

// ForeignPort is a port of others with the name of its network.
type ForeignPort struct {
	driver.ForeignPort
	NetworkName string `json:"networkName,omitempty"`
}

// routeForeign answers with ports of others.
func (s *Server) routeForeign(h sdk.Handler) {
	s.adminRoute(h, "foreign", func(ctx context.Context) (any, error) {
		out := []ForeignPort{}
		if s.o.Foreign == nil {
			return out, nil
		}
		all, err := s.o.Foreign.ForeignPorts(ctx)
		for _, p := range all {
			out = append(out, ForeignPort{p, s.o.Names.Network(p.NetworkID)})
		}
		return out, err
	})
}
