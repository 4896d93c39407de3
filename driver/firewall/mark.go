package firewall

// The bits of the packet mark that the nftables backend and its hooks in
// iptables use between them, and only while a packet of a gangway bridge passes
// FORWARD: other bits are kept, and these are cleared before the packet goes
// on. Rules of others that match marks there have to do so with a mask.
//
// Where iptables decide nothing, these bits are also how an administrator's own
// table overrules the backend: MarkAccept or MarkDrop, set in a chain of the
// hook forward at the priority "filter", is what becomes of the packet.
const (
	// MarkMask covers all of them.
	MarkMask uint32 = 0x0c000000
	// MarkAccept says that gangway's rules accept the packet.
	MarkAccept uint32 = 0x04000000
	// MarkDrop says that gangway's rules drop the packet, unless the
	// administrator's accept it.
	MarkDrop uint32 = 0x08000000
	// MarkAsked is MarkDrop once the packet has come to the administrator's
	// rules: who meets it behind them knows that these accepted the packet.
	MarkAsked = MarkMask
)
