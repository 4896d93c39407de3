package firewall

// Mark is the two bits of the packet mark that gangway's rules use between them, and
// only while a packet of a gangway bridge passes FORWARD, or one that Ruleset.NoTransit is
// about: other bits are kept, and these are cleared before the packet goes on. Rules of
// others that match or set
// marks there have to do so with a mask: what they take away makes the packet one
// that gangway's rules have not accepted, see nftables.FailClosed, and what they add
// is overwritten as long as gangway's rules stand.
//
// Where iptables decide nothing, these bits are also how an administrator's own
// table overrules the nftables backend: Accept or Drop, set in a chain of
// the hook forward at the priority "filter", is what becomes of the packet.
type Mark struct {
	// Accept says that gangway's rules accept the packet. Who has been asked has the
	// bit as well: it passes the fail-closed table.
	Accept uint32
	// Drop says that gangway's rules drop the packet, unless the administrator's
	// accept it. Each is one bit, and not the same.
	Drop uint32
}

// DefaultMark is what a host uses whose administrator chose nothing.
func DefaultMark() Mark { return Mark{Accept: 0x04000000, Drop: 0x08000000} }

// Mask covers both bits.
func (m Mark) Mask() uint32 { return m.Accept | m.Drop }

// Asked says that the packet has come to the administrator's rules: who meets it
// behind them knows that these accepted the packet.
func (m Mark) Asked() uint32 { return m.Mask() }
