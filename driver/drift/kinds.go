package drift

import (
	"context"

	"github.com/gangway-net/gangway/driver/commit"
	"github.com/gangway-net/gangway/driver/spec"
)

// Kind is one kind of objects: how they are brought about and taken away, and how all of them
// are compared with what is there, and mended.
type Kind struct {
	commit.Kind
	// Check compares the objects with what is there. It is nil where the check of another
	// kind looks at these as well: CheckedWith says of which.
	Check       func(context.Context, *Comparison)
	CheckedWith spec.Kind
}

// Kinds lists the kinds in the order in which their objects come, and are checked; see
// commit.Kinds.
type Kinds struct {
	First, Then []Kind
}

// kind returns the one of these objects.
func (k Kinds) kind(of spec.Kind) commit.Kind {
	for _, list := range [][]Kind{k.First, k.Then} {
		for _, kind := range list {
			if kind.Of == of {
				return kind.Kind
			}
		}
	}
	return commit.Kind{Of: of}
}

// Actions are how objects of the kinds are brought about and taken away.
func (k Kinds) Actions() (all commit.Kinds) {
	for _, kind := range k.First {
		all.First = append(all.First, kind.Kind)
	}
	for _, kind := range k.Then {
		all.Then = append(all.Then, kind.Kind)
	}
	return all
}
