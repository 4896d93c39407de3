package config

import (
	"errors"
	"fmt"
)

// uplinkOptions join a network to the LAN behind a link of the host.
func uplinkOptions() []Option {
	return []Option{{
		Name: optionUplink, Where: ForNetwork, Values: "the name of a link of the host without addresses, such as eth1", Since: first,
		Help:    "put the link into the network's bridge, as long as there is the network: containers are on its LAN, with addresses of --subnet there, and the LAN's router (--gateway) is their gateway",
		network: func(n *Network, v string) error { n.Uplink = v; return uplinkName(v) },
		check:   checkUplink,
	}, {
		Name: "gangway.host_access", Where: ForNetwork, Values: "true or false", Default: "false", Choices: booleans(), Since: first,
		Help:    "the host has an address on the LAN of " + optionUplink + ", that of --aux-address " + HostName4 + "=… or " + HostName6 + "=…, by which it and containers reach each other; else they do not",
		network: func(n *Network, v string) (err error) { n.HostAccess, err = boolean(v); return err },
	}}
}

const optionUplink = "gangway.uplink"

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
