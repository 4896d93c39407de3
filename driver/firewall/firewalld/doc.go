// Package firewalld has a running firewalld let gangway's networks be.
//
// firewalld rejects what is forwarded by links that are in no zone, in a table
// of its own, whatever other tables accept. So gangway's bridges enter zone
// "docker", as the engine's own bridges do: its target is ACCEPT, and the
// engine's policy "docker-forwarding" lets the other zones in. What containers
// may do is then for gangway's own rules alone.
//
// The engine makes the zone whenever it starts beside a running firewalld.
// A zone of gangway's own would have to be made permanent and loaded by a
// reload, which flushes everybody's rules, and would outlive gangway; and what
// the administrator has set for zone docker would not hold for gangway's
// networks. The membership is part of firewalld's runtime configuration only.
//
// Invariant: after Sync every given bridge is in the zone, unless the
// administrator has put it into another one, and no other bridge of gangway is; of
// those that enter or leave meanwhile, their own calls decide.
// firewalld tells of restarts, reloads and bridges taken out by signals.
//
// The package refuses to start firewalld, to write to its permanent
// configuration, to make zones and to move a bridge from one zone to another;
// and to wait for a firewalld that does not answer: it goes on once that does.
package firewalld
