package driver

import (
	"context"
	"fmt"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver/model"
)

// SetRate changes how much a container gets and sends on a network while it runs; nil leaves
// a direction as it is, and an empty text is the network's rate. It is as if the container had
// been given the option: it ends with the container's place on the network, since the engine
// keeps what its user gave, and hands that over at the next start.
func (d *Driver) SetRate(ctx context.Context, networkID, endpointID string, in, out *string) error {
	unlock, err := d.networks.Take(ctx, networkID)
	if err != nil {
		return err
	}
	defer unlock()
	return d.writer.Commit(ctx, func(s *model.State) (model.Change, error) {
		_, e, err := s.Find(networkID, endpointID)
		if err != nil {
			return model.Change{}, err
		}
		if e.Sandbox == "" {
			return model.Change{}, fmt.Errorf("endpoint %s is in no container: start it, or give it %s", model.Short(e.ID), config.OptionRateIn)
		}
		changed := *e
		for name, text := range map[string]*string{config.OptionRateIn: in, config.OptionRateOut: out} {
			if text == nil {
				continue
			}
			if changed.Options, err = changed.Options.With(name, *text); err != nil {
				return model.Change{}, err
			}
		}
		if changed.Options == e.Options {
			return model.Change{}, nil
		}
		return model.Change{Endpoints: []model.EndpointChange{{Before: e, After: &changed}}}, nil
	})
}
