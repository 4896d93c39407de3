package fwtest

import (
	"net/netip"
	"time"

	"github.com/gangway-net/gangway/integration/rawip"
)

// ping sends one echo request and waits for its reply. The answer is the
// address it came from, since an echo reply says no more.
func ping(n *node, to netip.Addr, deadline time.Time) (string, error) {
	c, err := dialRaw(n, rawip.NetworkICMP(to), to, deadline)
	if err != nil {
		return "", err
	}
	defer c.Close() //nolint:errcheck // the reply is what counts
	from, err := rawip.Ping(c, nextID(), 0)
	if err != nil {
		return "", err
	}
	return "echo " + from.String(), nil
}
