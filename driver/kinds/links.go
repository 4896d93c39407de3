package kinds

import (
	"context"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/drift"
	"github.com/gangway-net/gangway/driver/spec"
)

// Links makes links what the specs say. Package link is the real one.
type Links interface {
	// EnsureBridge creates the bridge or mends it, and returns one line for
	// each thing that was not as it should be (nil when nothing was).
	EnsureBridge(ctx context.Context, b spec.Bridge) (fixed []string, err error)
	// DeleteBridge removes a bridge that gangway created; of an adopted one it
	// gives back what it changed. What is gone already is no error.
	DeleteBridge(ctx context.Context, b spec.Bridge) error
	// EnsureVeth creates the pair, or mends the host end of an existing one.
	// A host end whose peer is in a container is never re-created. Of a detached
	// pair nothing is created, and what there is is cut off.
	EnsureVeth(ctx context.Context, v spec.Veth) (fixed []string, err error)
	// DeleteVeth removes the pair, wherever the peer is. What is gone already
	// is no error.
	DeleteVeth(ctx context.Context, v spec.Veth) error
}

func bridges(l Links) commit.Actions[spec.Bridge] {
	return commit.Actions[spec.Bridge]{Ensure: l.EnsureBridge, Remove: l.DeleteBridge}
}

// pairs are trimmed as they are made: what stays of one that leaves is cut off.
func pairs(l Links) commit.Actions[spec.Veth] {
	cut := func(ctx context.Context, v spec.Veth) error {
		_, err := l.EnsureVeth(ctx, v)
		return err
	}
	return commit.Actions[spec.Veth]{Ensure: l.EnsureVeth, Trim: cut, Remove: l.DeleteVeth}
}

// checkLinks is the check of bridges, forwarding and pairs: one look shows all links.
func checkLinks(ctx context.Context, c *drift.Comparison) { c.CheckLinks(ctx) }
