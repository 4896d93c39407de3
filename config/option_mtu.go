package config

import (
	"fmt"
	"strconv"
)

func mtuOption() []Option {
	return []Option{{
		Name: "com.docker.network.driver.mtu", Where: ForNetwork, Values: "68 to 65535, with IPv6 from 1280; 0 for the kernel's default; auto", Default: "0", Since: first,
		Help:    "largest packet in bytes, for bridge and containers; auto follows the link that the host's default route leads by",
		network: func(n *Network, v string) (err error) { n.MTU, err = mtu(v); return err },
		check: func(n Network) error {
			if n.IPv6 && n.MTU > 0 && n.MTU < MinMTU6 {
				return fmt.Errorf("\"%d\" is too small with IPv6, which needs %d: raise it, or leave out --ipv6", n.MTU, MinMTU6)
			}
			return nil
		},
	}}
}

const (
	// MinMTU is the least of RFC 791.
	MinMTU = 68
	// MinMTU6 is the least of RFC 8200.
	MinMTU6 = 1280
	// MaxMTU is the longest IPv4 packet.
	MaxMTU = 65535
)

// AutoMTU is the MTU of a network that follows the way out.
const AutoMTU = -1

func mtu(v string) (int, error) {
	if v == "auto" {
		return AutoMTU, nil
	}
	m, err := strconv.ParseUint(v, 10, 16)
	if err != nil || m != 0 && m < MinMTU {
		return 0, fmt.Errorf("is not an MTU: want %d to %d, 0 for the kernel's default, or auto for that of the way out", MinMTU, MaxMTU)
	}
	return int(m), nil
}
