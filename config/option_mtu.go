package config

import (
	"fmt"
	"strconv"
)

func mtuOption() []Option {
	return []Option{{
		Name: "com.docker.network.driver.mtu", Where: ForNetwork, Values: "68 to 65535, with IPv6 from 1280; 0 for the kernel's default", Default: "0", Since: first,
		Help:    "largest packet in bytes, for bridge and containers",
		network: func(n *Network, v string) (err error) { n.MTU, err = mtu(v); return err },
		check: func(n Network) error {
			if n.IPv6 && n.MTU != 0 && n.MTU < minMTU6 {
				return fmt.Errorf("\"%d\" is too small with IPv6, which needs %d: raise it, or leave out --ipv6", n.MTU, minMTU6)
			}
			return nil
		},
	}}
}

const (
	// minMTU is the least of RFC 791, minMTU6 of RFC 8200; maxMTU is the longest
	// IPv4 packet.
	minMTU, minMTU6, maxMTU = 68, 1280, 65535
)

func mtu(v string) (int, error) {
	m, err := strconv.ParseUint(v, 10, 16)
	if err != nil || m != 0 && m < minMTU {
		return 0, fmt.Errorf("is not an MTU: want %d to %d, or 0 for the kernel's default", minMTU, maxMTU)
	}
	return int(m), nil
}
