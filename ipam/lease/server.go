package lease

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Server asks the DHCP servers of LANs. Each call sends again until there is an answer that fits,
// or ctx ends; without one the error is ErrSilent.
type Server interface {
	// Discover returns what a server would grant; it takes nothing. One that offers Ask.Wish
	// goes before others.
	Discover(ctx context.Context, ask Ask) (Lease, error)
	// Request takes an offer. The error is a *RefusedError if the server refuses.
	Request(ctx context.Context, ask Ask, offer Lease) (Lease, error)
	// Extend asks the lease's server to extend it, or any server. The error is a *RefusedError
	// if the address is not the container's any more, and nobody says that it is.
	Extend(ctx context.Context, l Lease, any bool) (Lease, error)
	// GiveUp tells the server that nobody uses the address; with used, that somebody else does,
	// so that the server does not grant it again soon. It waits for no answer.
	GiveUp(ctx context.Context, l Lease, used bool) error
}

// ErrSilent says that no server has answered.
var ErrSilent = errors.New("no DHCP server answers")

// RefusedError is a server's refusal (DHCPNAK).
type RefusedError struct {
	Server netip.Addr
	// Message is the server's; often there is none.
	Message string
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("DHCP server %s refuses", e.Server)
	if e.Message != "" {
		text += fmt.Sprintf(" (%q)", e.Message)
	}
	return text
}

// patience is how long a server may take to answer. The engine waits 30 s for us; who starts a
// container is to hear of a server that is away before that.
const patience = 9 * time.Second

// Learn asks what a LAN's server would grant to a link, without taking it.
func (k *Keeper) Learn(ctx context.Context, link string) (Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	offer, err := k.o.Server.Discover(ctx, Ask{Link: link})
	return offer, silent(err, link)
}

// silent says what to do about a server that does not answer.
func silent(err error, link string) error {
	if errors.Is(err, ErrSilent) {
		return fmt.Errorf("%w at %s within %s: is the server up, and does %s lead to its LAN (`tcpdump -ni %s port 67 or port 68`)?", err, link, patience, link, link)
	}
	return err
}

// Obtain takes a lease that fits.
func (k *Keeper) Obtain(ctx context.Context, ask Ask, fits func(Lease) error) (Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	offer, err := k.o.Server.Discover(ctx, ask)
	if err != nil {
		return Lease{}, silent(err, ask.Link)
	}
	if ask.Must && offer.Address.Addr() != ask.Wish {
		return Lease{}, fmt.Errorf("DHCP server %s offers %s to %s and not %s: reserve that there for the hardware address (--mac-address), or leave --ip out",
			offer.Server, offer.Address.Addr(), ask.MAC, ask.Wish)
	}
	if err = fits(offer); err != nil {
		return Lease{}, err
	}
	got, err := k.o.Server.Request(ctx, ask, offer)
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		return Lease{}, fmt.Errorf("%w the address %s that it has offered to %s: start the container again, and see the server's log", err, offer.Address.Addr(), ask.MAC)
	case err != nil:
		return Lease{}, silent(err, ask.Link)
	case got.Address != offer.Address:
		k.giveUp(ctx, got, false)
		return Lease{}, fmt.Errorf("DHCP server %s has offered %s and granted %s: see the server's log", got.Server, offer.Address, got.Address)
	}
	return got, nil
}

// Decline tells the server that somebody else has the address of a lease.
func (k *Keeper) Decline(ctx context.Context, l Lease) { k.giveUp(ctx, l, true) }

// GiveBack gives a lease back that is not kept. One that is lost is nothing to give back.
func (k *Keeper) GiveBack(ctx context.Context, l Lease) {
	if l.Gone == "" {
		k.giveUp(ctx, l, false)
	}
}

// giveUp does not fail: a server that does not hear of it waits for the lease's end.
func (k *Keeper) giveUp(ctx context.Context, l Lease, used bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := k.o.Server.GiveUp(ctx, l, used); err != nil {
		k.o.Log.WithError(err).Infof("DHCP server %s was not told that %s is free: it stays leased until %s", l.Server, l.Address.Addr(), stamp(l.Until))
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "somebody removes the lease"
	}
	return t.UTC().Format(time.RFC3339)
}
