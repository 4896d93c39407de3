package trace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/gangway-net/gangway/driver/nftrace"
)

// Seen is what the kernel did with the flow's first packets.
type Seen struct {
	Steps   []Step  `json:"steps"`
	Verdict Verdict `json:"verdict,omitempty"`
	// Packets is how many came.
	Packets int `json:"packets"`
	// Answer is what the probe heard; empty without one.
	Answer string `json:"answer,omitempty"`
	// To is the destination that the packet had in the end.
	To netip.AddrPort `json:"-"`
	// Bridged says whether what stays on a bridge was followed.
	Bridged bool `json:"-"`
	// Notes say what could not be followed, and why.
	Notes []string `json:"notes,omitempty"`
}

// Options say how to follow.
type Options struct {
	// Probe has a connection or a datagram sent.
	Probe bool
	// For is how long to wait for a packet.
	For time.Duration
	// Waiting is called when a packet of somebody's is waited for.
	Waiting func()
}

const (
	// quiet is how long no report comes before a packet's way is complete.
	quiet = 200 * time.Millisecond
	// answerTime is how long a probe waits for an answer.
	answerTime = 3 * time.Second
	// enough is how long is listened to packets that go on coming.
	enough = 2 * time.Second
)

// Follow has the kernel report the way of the flow's next packets. Where that cannot be
// done, Verdict is empty, and a note says why.
func Follow(ctx context.Context, f Flow, o Options) (seen Seen, err error) {
	flow := nftrace.Flow{Protocol: byte(protocols[f.Protocol].number), Source: f.Source, Destination: f.Destination.Addr(), Port: f.Destination.Port()}
	if f.From.Host {
		flow.Source = netip.Addr{} // whatever the routes and the program choose
	}
	var probe *socket
	if o.Probe {
		var from netip.AddrPort
		if probe, from, err = open(f); err != nil {
			return seen, err
		}
		defer probe.close()
		flow.Source, flow.SourcePort = from.Addr(), from.Port()
	}
	listener, err := nftrace.Listen()
	if err != nil {
		return countOnly(ctx, f, o, probe, err)
	}
	defer listener.Close()
	on, err := nftrace.On(flow)
	if err != nil {
		return countOnly(ctx, f, o, probe, err)
	}
	defer on.Off()
	before, unread := count(ctx, legacyPrograms(f.Destination.Addr().Is6()))
	answer := o.start(ctx, probe)
	events, answered, err := hear(ctx, on, listener, o, answer)
	on.Off()
	seen = judge(on, namesOf(ctx), events)
	seen.Answer, seen.Bridged = answered, on.Bridged
	steps, drops := before.risen(ctx)
	if drops && answered != accepted {
		seen.Verdict = Dropped
	}
	seen.Steps = append(seen.Steps, steps...)
	if errors.Is(err, nftrace.ErrLost) {
		seen.Notes = append(seen.Notes, err.Error())
		err = nil
	}
	if !on.Bridged {
		seen.Notes = append(seen.Notes, "not followed within bridges: the kernel has no nf_tables for them")
	}
	seen.Notes = append(seen.Notes, unread...)
	return seen, err
}

// countOnly does what can be done where the kernel does not report, if it is that: it tells
// which rules of iptables have counted packets.
func countOnly(ctx context.Context, f Flow, o Options, probe *socket, why error) (seen Seen, err error) {
	if !errors.Is(why, nftrace.ErrNoOwner) && !errors.Is(why, nftrace.ErrUnsupported) {
		return seen, why
	}
	seen.Steps = []Step{}
	before, notes := count(ctx, allPrograms(f.Destination.Addr().Is6()))
	seen.Notes = append([]string{"not followed in the kernel: " + why.Error()}, notes...)
	if len(before.programs) == 0 {
		return seen, nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.For)
	defer cancel()
	select {
	case seen.Answer = <-o.start(ctx, probe):
	case <-ctx.Done():
	}
	steps, drops := before.risen(context.WithoutCancel(ctx))
	seen.Steps = append(seen.Steps, steps...)
	switch {
	case seen.Answer == accepted:
		seen.Verdict = Accepted
	case drops:
		seen.Verdict = Dropped
	}
	return seen, nil
}

// start sends what is to be sent, and returns where the answer comes; nil without a probe.
func (o Options) start(ctx context.Context, probe *socket) chan string {
	if probe == nil {
		o.Waiting()
		return nil
	}
	answer := make(chan string, 1)
	go func() {
		limited, cancel := context.WithTimeout(ctx, min(o.For, answerTime))
		defer cancel()
		answer <- probe.send(limited)
	}()
	return answer
}

// hear listens until a packet's way is complete and the probe has ended, but not longer
// than asked for.
func hear(ctx context.Context, on *nftrace.Switch, l *nftrace.Listener, o Options, answer chan string) (all []nftrace.Event, answered string, err error) {
	end := time.Now().Add(o.For)
	var first time.Time
	waiting := answer != nil
	for {
		some, hearErr := l.Events(quiet)
		if all = append(all, some...); hearErr != nil {
			err = hearErr
		}
		if len(all) > 0 && first.IsZero() && started(on, all) {
			first = time.Now()
		}
		select {
		case answered = <-answer:
			waiting, answer = false, nil
			continue // what is on its way yet
		default:
		}
		came := !first.IsZero()
		switch {
		case waiting: // the probe ends by itself
		case err != nil && !errors.Is(err, nftrace.ErrLost), ctx.Err() != nil, time.Now().After(end):
			return all, answered, err
		case o.Probe && len(some) == 0, came && len(some) == 0, came && time.Since(first) > enough:
			return all, answered, err
		}
	}
}

func started(on *nftrace.Switch, all []nftrace.Event) bool {
	for _, e := range all {
		if on.Starts(e) {
			return true
		}
	}
	return false
}

// judge makes of reports what is told.
func judge(m marker, w words, events []nftrace.Event) Seen {
	all := ways(m, w, events)
	if len(all) == 0 {
		return Seen{Verdict: Dropped, Steps: []Step{{Text: "no packet came to a rule of the host: not sent, without a route, or dropped before (port filter)"}}}
	}
	y := chosen(all)
	return Seen{Steps: y.Steps, Verdict: y.Verdict, Packets: len(all), To: y.ends[1]}
}

// Compare says where the kernel does not do what the desired state says, and what a trace
// does not show.
func (s *Seen) Compare(d Decision) {
	if s.Verdict != Accepted || s.Packets == 0 {
		return
	}
	switch {
	case d.Verdict == Accepted && d.To.IsValid() && s.To != d.To:
		s.Verdict = Diverted
		s.Steps = append(s.Steps, Step{Text: fmt.Sprintf("%s: it goes to %s, and not to %s as the desired state says: a rule above has led it there, or left it untracked", Diverted, s.To, d.To)})
	case strings.HasPrefix(s.Answer, noAnswer):
		s.Notes = append(s.Notes, "it was accepted on its way there, and answers are not followed: gangway doctor looks at the program, and at what drops answers")
	}
}

// Outcome is the verdict on a flow: the kernel's, or the desired state's where the kernel
// was not asked or could not see it.
func Outcome(d Decision, seen *Seen) Verdict {
	switch {
	case seen == nil || seen.Verdict == "":
		return d.Verdict
	case seen.Answer == accepted:
		return Accepted
	case seen.Packets == 0 && d.Switched && !seen.Bridged:
		return d.Verdict
	}
	return seen.Verdict
}
