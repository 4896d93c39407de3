package iptables

// clamp has TCP say as it begins what the way takes; see package nftables. Packets of gangway's
// bridges meet it before whoever accepts them, and go on.
func clamp() string {
	return "-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"
}
