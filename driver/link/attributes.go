package link

import (
	"crypto/rand"
	"fmt"
	"net"

	"github.com/gangway-net/gangway/driver/nlattr"
)

// attributes visits the attributes behind a message's header: type without flags,
// and value.
func attributes(m []byte, header int, visit func(kind uint16, value []byte)) error {
	if len(m) < header {
		return fmt.Errorf("%d bytes, fewer than its header's %d", len(m), header)
	}
	for a, err := range nlattr.All(m[header:]) {
		if err != nil {
			return err
		}
		visit(a.Kind, a.Value)
	}
	return nil
}

// attribute returns the value of one attribute behind a header, nil if it is
// not there.
func attribute(m []byte, header int, want uint16) (found []byte, err error) {
	err = attributes(m, header, func(kind uint16, value []byte) {
		if kind == want && found == nil {
			found = value
		}
	})
	return found, err
}

// nested returns the value of an attribute within others, nil if it is not there.
func nested(m []byte, header int, kinds ...uint16) (value []byte, err error) {
	value = m
	for _, kind := range kinds {
		if value, err = attribute(value, header, kind); err != nil {
			return nil, err
		}
		header = 0
	}
	return value, nil
}

// randomMAC returns a locally administered unicast address. Without one set
// explicitly the bridge takes the lowest of its ports', and containers lose
// their gateway's address whenever a port comes or goes.
func randomMAC() net.HardwareAddr {
	mac := make(net.HardwareAddr, 6)
	_, _ = rand.Read(mac) // never fails since Go 1.24
	mac[0] = mac[0]&^1 | 2
	return mac
}
