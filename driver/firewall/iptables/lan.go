package iptables

// Frames that pass within a bridge come to FORWARD with br_netfilter, which engines before 28 load, and
// meet an engine's policy, which is DROP. A bridge that is the host's link to a LAN is in no
// interface group, so that all else about it is as with any link of the host; the rules of these
// chains name it. They are there as long as there is one.
var (
	lanChain    = chain{"filter", "GANGWAY-LAN"}
	withinChain = chain{"filter", "GANGWAY-WITHIN"}
)

// withinRule leads what passes within a bridge to withinChain.
func withinRule(bridge string) string {
	return "-i " + bridge + " -o " + bridge + " -j " + withinChain.name
}

// withinRules accept, unless DOCKER-USER does not.
func withinRules(user bool) []string {
	if user {
		return []string{"-j " + dockerUser.name, "-j ACCEPT"}
	}
	return []string{"-j ACCEPT"}
}
