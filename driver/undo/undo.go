// Package undo gives what takes a failed change back a time of its own, one for all
// that takes part in it.
//
// A change fails most often because its time is over, or because who asked for it has
// gone. Then its context is of no use for undoing it. Each part that undoes something
// (the driver, a firewall backend) with a time of its own would add up to more than the
// engine waits for an answer.
package undo

import (
	"context"
	"time"
)

// Time is how long after a change's own time its undoing may end.
const Time = 8 * time.Second

// key is of the moment at which an undoing ends.
type key struct{}

// Context returns a context for undoing what was done under ctx. It does not end with
// ctx, but Time after ctx would have at the latest; without such a moment, Time from now.
// What is undone as a part of another undoing ends with that.
func Context(ctx context.Context) (context.Context, context.CancelFunc) {
	end, nested := ctx.Value(key{}).(time.Time)
	if !nested {
		end = time.Now()
		if deadline, ok := ctx.Deadline(); ok {
			end = deadline
		}
		end = end.Add(Time)
	}
	return context.WithDeadline(context.WithValue(context.WithoutCancel(ctx), key{}, end), end)
}
