package cli

import "testing"

// TestTrace: what the desired state says, and what is refused before anything is asked of
// the kernel.
func TestTrace(t *testing.T) {
	compare(t, "trace", transcript(t, host(t, namedHost()),
		"trace shop-web-1 shop-db-1:5432 --for 0s", "trace shop-web-1 10.50.0.3:5432/udp --for 0s --json", "trace 198.51.100.1 10.50.0.2:80 --for 0s",
		"trace host shop-web-1:80/sctp --for 0s", "trace 2222 shop-web-1:80 --for 0s", "trace shop-web-1 198.51.100.1:443 --for 0s",
		"trace shop-wob-1 shop-db-1:80", "trace shop-web-1 shop-dc-1:80", "trace shop-web-1", "trace shop-web-1 shop-db-1", "trace shop-web-1 shop-db-1:80/icmp", "trace shop-web-1 :80",
		"trace 198.51.100.1 [fd00:51::2]:80", "trace shop-db-1 [fd00:51::2]:80 --for 0s", "trace 198.51.100.1 10.50.0.2:80 --probe", "trace a b:1 --for -1s"))
}
