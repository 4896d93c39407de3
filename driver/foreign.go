package driver

import (
	"context"

	"github.com/gangway-net/gangway/driver/spec"
)

// ForeignPort is a port of a network's bridge that is somebody else's, as the admin API shows
// it.
type ForeignPort struct {
	NetworkID string `json:"network,omitempty"`
	Bridge    string `json:"bridge"`
	Interface string `json:"interface"`
	Index     int    `json:"index"`
	// Kind is what the link is: tap, device, veth, …
	Kind string `json:"kind"`
	Up   bool   `json:"up"`
	// Learned are hardware addresses behind the port, the first ones of many; Addresses is how
	// many there are.
	Learned   []string `json:"learned,omitempty"`
	Addresses int      `json:"addresses"`
}

// Strangers tells of ports of others. Package link is the real one.
type Strangers interface {
	ForeignPorts(ctx context.Context) ([]spec.ForeignPort, error)
}

// ForeignPorts lists the ports of networks' bridges that are somebody else's, sorted by bridge and
// name.
func (d *Driver) ForeignPorts(ctx context.Context) ([]ForeignPort, error) {
	if d.o.Strangers == nil {
		return nil, nil
	}
	all, err := d.o.Strangers.ForeignPorts(ctx)
	var out []ForeignPort
	for _, p := range all {
		out = append(out, ForeignPort{p.NetworkID, p.Bridge, p.Name, p.Index, p.Kind, p.Up, p.Learned, p.Addresses})
	}
	return out, err
}
