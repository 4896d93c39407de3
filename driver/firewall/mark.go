package firewall

// The bits of the packet mark that gangway's rules use between them, and only
// while a packet of a gangway bridge passes FORWARD, or one that Ruleset.Closed is
// about: other bits are kept, and these are cleared before the packet goes on. Rules of others that match or set
// marks there have to do so with a mask: what they take away makes the packet one
// that gangway's rules have not accepted, see nftables.Valve, and what they add
// is overwritten as long as gangway's rules stand.
//
// Where iptables decide nothing, these bits are also how an administrator's own
// table overrules the nftables backend: MarkAccept or MarkDrop, set in a chain of
// the hook forward at the priority "filter", is what becomes of the packet.
const (
	// MarkMask covers all of them.
	MarkMask uint32 = 0x0c000000
	// MarkAccept says that gangway's rules accept the packet. MarkAsked has the
	// bit as well: who has it passes the valve.
	MarkAccept uint32 = 0x04000000
	// MarkDrop says that gangway's rules drop the packet, unless the
	// administrator's accept it.
	MarkDrop uint32 = 0x08000000
	// MarkAsked says that the packet has come to the administrator's rules: who
	// meets it behind them knows that these accepted the packet.
	MarkAsked = MarkMask
)
