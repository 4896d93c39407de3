package drift

import (
	"context"
	"fmt"
	"slices"

	"github.com/gangway-net/gangway/driver/commit"
)

// retry tries again what changes have left open.
func (c *Comparison) retry(ctx context.Context) {
	if c.linkless {
		return
	}
	for _, o := range c.Writer.Open() {
		if o.Network == "" {
			c.Note(c.Writer.Retry(ctx, o))
			continue
		}
		c.onNetwork(ctx, o.Network, func() ([]string, error) {
			fixed, err := c.Writer.Retry(ctx, o)
			if slices.Contains(c.following, o) { // nothing was wrong
				for _, line := range fixed {
					c.Log.Info(line)
				}
				return nil, err
			}
			return fixed, err
		})
	}
}

// store has what could not be stored or put back written again.
func (c *Comparison) store(ctx context.Context) {
	for _, id := range c.Desired.Unstored() {
		c.onNetwork(ctx, id, func() ([]string, error) {
			differed, err := c.Writer.StoreAgain(id)
			if err != nil || !differed {
				return nil, err
			}
			return []string{fmt.Sprintf("the stored state of %s was not what it should be: written again", commit.Whose(id))}, nil
		})
	}
}
