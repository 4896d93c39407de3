package iptables

// clamp are the rules that have TCP say as it begins what the way takes; see package nftables.
// They are the first of what forwarded packets meet, and let all of them go on.
func clamp() []string {
	const what = " -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu"
	return []string{"-p tcp " + toBridge + what, "-p tcp " + fromBridge + what}
}
