// Package cause has what keeps the daemon from being ok: what it is, why it matters, and what
// to do about it. Its table lists all there are, with the state that each makes.
//
// A cause is something that is so now, unlike an event, which has happened. The package asks
// nobody and decides nothing but which of several states is the worst.
package cause

import (
	"cmp"
	"slices"
)

// State is how the daemon is, in one word.
type State string

// The states, the best first.
const (
	// OK says that networks are as they should be. A cause of it is a limit of the host.
	OK State = "ok"
	// Degraded says that something does not work as it should, or is not seen to, though all
	// that is seen to is as it should be.
	Degraded State = "degraded"
	// Problem says that networks may not be what they should be.
	Problem State = "problem"
)

// States lists them, the best first.
func States() []State { return []State{OK, Degraded, Problem} }

// Code names a cause for programs.
type Code string

// The causes.
const (
	Refused     Code = "refused"
	CheckFailed Code = "check-failed"
	Unstored    Code = "unstored"

	Restoring    Code = "restoring"
	Hung         Code = "hung"
	PortUnheld   Code = "port-unheld"
	Unmet        Code = "unmet"
	Flapping     Code = "flapping"
	Unclaimed    Code = "unclaimed"
	Unnamed      Code = "engine-unreachable"
	Uncounted    Code = "drops-uncounted"
	Unlimited    Code = "neighbours-unlimited"
	Unremembered Code = "events-unwritten"
	Unserved     Code = "metrics-unserved"
	NoPolicy     Code = "policy-missing"
	Mismatched   Code = "ipv6-mismatched"
	NoNetwork    Code = "policy-network-missing"
	LeaseLost    Code = "lease-lost"
	Unresolved   Code = "names-unresolved"

	Unprotected Code = "unprotected"
	Unguarded   Code = "unguarded"
	MarkShared  Code = "mark-shared"
	Privileged  Code = "privileged"
	HostAsked   Code = "names-host-asked"
)

// Cause is one thing that keeps the daemon from being ok, or from being better.
type Cause struct {
	Code Code `json:"code"`
	// State is what the daemon is because of it, if there is nothing worse.
	State State `json:"state"`
	// What, Why and Do are a line each: what is so, why that matters, and what to do.
	What string `json:"what"`
	Why  string `json:"why"`
	Do   string `json:"do"`
}

// Of returns a cause with what is so, and why and what to do as the table has them.
func Of(code Code, what string) Cause {
	c := row(code)
	c.What = what
	return c
}

// Line is the whole as one line.
func (c Cause) Line() string { return c.What + ": " + c.Why + "; " + c.Do }

// Worst is the state that causes make together.
func Worst(all []Cause) State {
	worst := OK
	for _, c := range all {
		if rank(c.State) > rank(worst) {
			worst = c.State
		}
	}
	return worst
}

// Sort puts the worst first, and leaves the rest of the order.
func Sort(all []Cause) {
	slices.SortStableFunc(all, func(a, b Cause) int { return cmp.Compare(rank(b.State), rank(a.State)) })
}

func rank(s State) int { return slices.Index(States(), s) }

// Lines are those of a state as lines.
func Lines(all []Cause, s State) (lines []string) {
	for _, c := range With(all, s) {
		lines = append(lines, c.Line())
	}
	return lines
}

// With returns those of a state.
func With(all []Cause, s State) []Cause {
	return slices.DeleteFunc(slices.Clone(all), func(c Cause) bool { return c.State != s })
}
