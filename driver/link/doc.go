// Package link makes bridges, veth pairs, their addresses and sysctls what the
// specs of package spec say, through netlink.
//
// Invariant: every link it creates carries the alias spec.OwnerAlias plus the
// id of the network or endpoint that owns it, and what it changes on a bridge
// that somebody else made is recorded on that bridge itself, as alternative
// names (see loan). The record lives exactly as long as the change, so no crash
// and no lost state file makes the package forget what to take back.
//
// It refuses to delete or change a link that carries neither, to renumber an
// adopted bridge, and to create a link under a name that is taken.
//
// A Handle belongs to the network namespace of the thread that called New; its
// sysctls are those of the namespace of the calling thread, which must be the
// same one.
package link
