package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// uplinkOptions join a network to the LAN behind a link of the host.
func uplinkOptions() []Option {
	return []Option{{
		Name: optionUplink, Where: ForNetwork, Values: "the name of a link of the host, such as eth1, or eth1.30 for VLAN 30 of eth1, which is made where it is missing", Since: first,
		Help:    "put the link into the network's bridge, as long as there is the network: containers are on its LAN, with addresses of --subnet there, and the LAN's router (--gateway) is their gateway",
		network: func(n *Network, v string) error { n.Uplink = v; return uplinkName(v) },
		check:   checkUplink,
	}, {
		Name: optionMove, Where: ForNetwork, Values: "true or false", Default: "false", Choices: booleans(), Since: first,
		Help:    "the link of " + optionUplink + " may be the host's own: its addresses and routes move to the bridge, and back with the end of the network; the host, the LAN and containers reach each other",
		network: func(n *Network, v string) (err error) { n.Move, err = boolean(v); return err },
		check:   checkMove,
	}, {
		Name: "gangway.host_access", Where: ForNetwork, Values: "true or false", Default: "false", Choices: booleans(), Since: first,
		Help:    "the host has an address on the LAN of " + optionUplink + ", that of --aux-address " + HostName4 + "=… or " + HostName6 + "=…, by which it and containers reach each other; else they do not",
		network: func(n *Network, v string) (err error) { n.HostAccess, err = boolean(v); return err },
	}}
}

const (
	optionUplink = "gangway.uplink"
	optionMove   = "gangway.uplink.move"
)

// HostName4 and HostName6 are the names of auxiliary addresses that are the host's own on a LAN.
const (
	HostName4 = "HostIPv4"
	HostName6 = "HostIPv6"
)

func uplinkName(v string) error {
	if v == "" {
		return nil
	}
	return linkName(v)
}

// MaxVLAN is the last id of a VLAN; 0 and 4095 are none (IEEE 802.1Q).
const MaxVLAN = 4094

// VLANOf reads the name of a link as that of a VLAN on a trunk, as in eth1.30; id is 0 where it
// is none. Others may have given the name to whatever link.
func VLANOf(uplink string) (trunk string, id int) {
	at := strings.LastIndexByte(uplink, '.')
	if at <= 0 {
		return "", 0
	}
	id, err := strconv.Atoi(uplink[at+1:])
	if err != nil || id < 1 || id > MaxVLAN || strconv.Itoa(id) != uplink[at+1:] {
		return "", 0
	}
	return uplink[:at], id
}

// checkMove refuses moving without an uplink, and what the host has then anyway.
func checkMove(n Network) error {
	switch {
	case n.Move && n.Uplink == "":
		return errors.New("there is no gangway.uplink whose addresses could move: leave it out")
	case n.Move && n.HostAccess:
		return errors.New("the host keeps its addresses on the LAN, by which it and containers reach each other: leave gangway.host_access out")
	}
	return nil
}

// checkUplink refuses what has a meaning only where the host passes packets on.
func checkUplink(n Network) error {
	if n.Uplink == "" {
		return nil
	}
	for _, c := range []struct {
		is   bool
		what string
	}{
		{n.Internal, "--internal"},
		{n.InhibitIPv4, "com.docker.network.bridge.inhibit_ipv4"},
		{!n.ICC, "com.docker.network.bridge.enable_icc=false"},
		{n.Mode(false) != NAT, "com.docker.network.bridge.gateway_mode_ipv4"},
		{n.Mode(true) != NAT, "com.docker.network.bridge.gateway_mode_ipv6"},
		{n.Host4.IsValid(), "com.docker.network.host_ipv4"},
		{n.Host6.IsValid(), "com.docker.network.host_ipv6"},
		{n.Trusted != "", "com.docker.network.bridge.trusted_host_interfaces"},
		{n.HostRoutes != "" && !n.HostAccess, "gangway.host_routes without gangway.host_access=true"},
	} {
		if c.is {
			return fmt.Errorf("containers are neighbours on the LAN, and the host passes nothing on for them: leave %s out, or the uplink", c.what)
		}
	}
	if n.MTU == AutoMTU {
		return errors.New("com.docker.network.driver.mtu=auto follows the host's default route, which does not lead by the uplink: give the LAN's MTU as a number")
	}
	return nil
}
