package fwtest

// probes says what package firewall promises, for everything() on a host.
func probes(w *world) []probe {
	list := append(outgoing(), incoming()...)
	list = append(list, local()...)
	list = append(list, hairpin()...)
	list = append(list, internal()...)
	list = append(list, within(w)...)
	return append(list, others(w.set)...)
}

// outgoing is what containers may reach, and as whom.
func outgoing() []probe {
	return []probe{
		// Masqueraded, and answered: established traffic finds back.
		{"a1", "tcp", "outside", 80, "outside:80 host"},
		{"a1", "udp", "outside", 80, "outside:80 host"},
		{"a1", "sctp", "outside", 80, "outside:80 host"},
		{"a1", "icmp", "outside", 0, "echo"},
		{"n1", "tcp", "outside", 80, "outside:80 host"},
		{"a1", "tcp", "lan", 80, "lan:80 LAN"},
		// An ICMP error is related to what it complains about.
		{"a1", "udp", "outside", 81, refused},
		// Without masquerade.
		{"b1", "tcp", "outside", 80, "outside:80 b1"},
		{"b1", "udp", "outside", 80, "outside:80 b1"},
		{"b1", "icmp", "outside", 0, "echo"},
		// The host itself, where nothing is published.
		{"a1", "tcp", "A", hostPort, "host:7000 a1"},
		{"a1", "tcp", "host", hostPort, "host:7000 a1"},
		{"a1", "udp", "A", hostPort, "host:7000 a1"},
		{"a1", "icmp", "A", 0, "echo"},
		{"n1", "icmp", "N", 0, "echo"},
		// Other networks, both ways.
		{"a1", "tcp", "b1", 80, dropped},
		{"b1", "tcp", "a1", 80, dropped},
		{"a1", "udp", "n1", 80, dropped},
		{"n1", "udp", "a1", 80, dropped},
		{"b1", "sctp", "a1", 80, dropped},
		{"b1", "icmp", "a1", 0, dropped},
	}
}

// incoming is what the outside reaches.
func incoming() []probe {
	return []probe{
		{"outside", "tcp", "host", 8080, "a1:80 outside"},
		{"outside", "udp", "host", 8080, "a1:80 outside"},
		{"outside", "sctp", "host", 8080, "a1:80 outside"},
		{"outside", "tcp", "host2", 8080, "a1:80 outside"},
		{"outside", "tcp", "host", 8090, "b1:80 outside"},
		{"outside", "udp", "host", 8090, "b1:80 outside"},
		{"outside", "tcp", "host", 8091, "n1:80 outside"},
		{"lan", "tcp", "LAN", 8080, "a1:80 lan"},
		{"lan", "tcp", "host", 8080, "a1:80 lan"},
		// One address of the host only.
		{"outside", "tcp", "host2", 8081, "a1:81 outside"},
		{"outside", "tcp", "host", 8081, refused},
		{"lan", "tcp", "LAN", 8081, refused},
		{"outside", "tcp", "host", 8082, refused},
		// A range that leads to other ports, and one that keeps them.
		{"outside", "tcp", "host", 7999, refused},
		{"outside", "tcp", "host", 8000, "a2:80 outside"},
		{"outside", "tcp", "host", 8005, "a2:85 outside"},
		{"outside", "tcp", "host", 8010, "a2:90 outside"},
		{"outside", "tcp", "host", 8011, refused},
		{"outside", "udp", "host", 79, refused},
		{"outside", "udp", "host", 80, "a2:80 outside"},
		{"outside", "udp", "host", 85, "a2:85 outside"},
		{"outside", "udp", "host", 90, "a2:90 outside"},
		{"outside", "udp", "host", 181, refused},
		{"outside", "tcp", "host2", 80, "a1:80 outside"},
		{"outside", "tcp", "host2", 90, "a1:90 outside"},
		{"outside", "tcp", "host", 85, refused},
		// Another protocol than the published one.
		{"outside", "udp", "host", 8005, refused},
		// Containers themselves, published port or not.
		{"outside", "tcp", "a1", 80, dropped},
		{"outside", "udp", "a1", 81, dropped},
		{"outside", "sctp", "a1", 80, dropped},
		{"outside", "icmp", "a1", 0, dropped},
		{"outside", "tcp", "b1", 80, dropped},
		{"outside", "tcp", "n1", 80, dropped},
		{"lan", "tcp", "a1", 80, dropped},
	}
}

// local is what the host itself reaches.
func local() []probe {
	return []probe{
		{"host", "tcp", "host", 8080, "a1:80 host"},
		{"host", "udp", "host", 8080, "a1:80 host"},
		{"host", "sctp", "host", 8080, "a1:80 host"},
		{"host", "tcp", "A", 8080, "a1:80 A"},
		{"host", "tcp4", "host2", 8081, "a1:81 host"}, // the primary address
		{"host", "tcp6", "host2", 8081, "a1:81 host2"},
		{"host", "tcp", "host", 8081, refused},
		{"host", "tcp", "host", 8005, "a2:85 host"},
		{"host", "tcp", "host", 8011, refused},
		{"host", "tcp", "host", 8090, "b1:80 host"},
		{"host", "tcp", "host", 8091, "n1:80 host"},
		// From 127.0.0.1 no answer would come back; the kernel routes nothing
		// from ::1, so that NAT must leave it to whoever listens there.
		{"host", "tcp4", "loopback", 8080, "a1:80 A"},
		{"host", "udp4", "loopback", 8080, "a1:80 A"},
		{"host", "sctp4", "loopback", 8080, "a1:80 A"},
		{"host", "tcp4", "loopback", 8005, "a2:85 A"},
		{"host", "udp4", "loopback", 85, "a2:85 A"},
		{"host", "tcp4", "loopback", 8090, "b1:80 B"},
		{"host", "tcp4", "loopback", 8082, "a1:82 A"},
		{"host", "tcp4", "loopback", 8081, refused},
		{"host", "tcp", "host", 8082, refused},
		{"host", "tcp6", "loopback", 8080, refused},
		{"host", "udp6", "loopback", 8080, refused},
		{"host", "tcp", "loopback", hostPort, "host:7000 loopback"},
		// Containers by their own addresses.
		{"host", "tcp", "a1", 80, "a1:80 A"},
		{"host", "udp", "b1", 80, "b1:80 B"},
		{"host", "tcp", "n2", 80, "n2:80 N"},
		{"host", "tcp", "i1", 80, "i1:80 I"},
		{"host", "icmp", "a1", 0, "echo"},
		{"host", "icmp", "i1", 0, "echo"},
		{"host", "icmp", "outside", 0, "echo"},
	}
}

// hairpin is what containers reach by published ports of the host.
func hairpin() []probe {
	return []probe{
		// The same network, and the container itself: the bridge's address.
		{"a2", "tcp", "host", 8080, "a1:80 A"},
		{"a2", "udp", "host", 8080, "a1:80 A"},
		{"a2", "sctp", "host", 8080, "a1:80 A"},
		{"a2", "tcp", "A", 8080, "a1:80 A"},
		{"a1", "tcp", "host", 8080, "a1:80 A"},
		{"a1", "udp", "host", 8080, "a1:80 A"},
		{"a1", "tcp", "A", 8080, "a1:80 A"},
		{"a1", "tcp", "host", 8010, "a2:90 A"},
		{"b1", "tcp", "host", 8090, "b1:80 B"},
		{"a1", "tcp", "host2", 8081, "a1:81 A"},
		{"a1", "tcp", "host", 8081, refused},
		{"a2", "tcp", "host", 8082, refused},
		// Without ICC published ports are still there for all.
		{"n2", "tcp", "host", 8091, "n1:80 N"},
		{"n1", "tcp", "host", 8091, "n1:80 N"},
		// Another network of gangway's sees the client itself, whether that
		// one's network masquerades or not.
		{"a1", "tcp", "host", 8090, "b1:80 a1"},
		{"a1", "udp", "host", 8090, "b1:80 a1"},
		{"n2", "tcp", "host", 8080, "a1:80 n2"},
		{"b1", "tcp", "host", 8080, "a1:80 b1"},
		{"b1", "udp", "host", 8080, "a1:80 b1"},
		{"b1", "sctp", "host", 8080, "a1:80 b1"},
		{"b1", "tcp", "B", 8080, "a1:80 b1"},
		{"b1", "tcp", "host", 8091, "n1:80 b1"},
	}
}

// internal is what an internal network is cut off from.
func internal() []probe {
	return []probe{
		{"i1", "tcp", "i2", 80, "i2:80 i1"},
		{"i1", "udp", "i2", 80, "i2:80 i1"},
		{"i2", "icmp", "i1", 0, "echo"},
		{"i1", "tcp", "outside", 80, dropped},
		{"i1", "udp", "outside", 80, dropped},
		{"i1", "sctp", "outside", 80, dropped},
		{"i1", "icmp", "outside", 0, dropped},
		{"i1", "tcp", "lan", 80, dropped},
		{"i1", "tcp", "a1", 80, dropped},
		{"i1", "tcp", "d1", 80, dropped},
		{"i1", "tcp", "host", 8080, dropped},
		{"outside", "tcp", "i1", 80, dropped},
		{"outside", "icmp", "i1", 0, dropped},
		{"lan", "udp", "i1", 80, dropped},
		{"a1", "tcp", "i1", 80, dropped},
		{"b1", "icmp", "i1", 0, dropped},
		{"d1", "tcp", "i1", 80, dropped},
	}
}

// within is what containers of one network reach of each other.
func within(w *world) []probe {
	list := []probe{
		{"a1", "tcp", "a2", 80, "a2:80 a1"},
		{"a2", "udp", "a1", 80, "a1:80 a2"},
		{"a1", "sctp", "a2", 80, "a2:80 a1"},
		{"a1", "icmp", "a2", 0, "echo"},
	}
	if w.set.bridged { // with br_netfilter off no backend sees these packets
		list = append(list,
			probe{"n1", "tcp", "n2", 80, dropped},
			probe{"n2", "udp", "n1", 80, dropped},
			probe{"n1", "sctp", "n2", 80, dropped},
			probe{"n2", "icmp", "n1", 0, dropped})
	}
	return list
}

// others is the traffic of the engine's own network and of a LAN. Where only
// gangway's links are concerned, nothing changes.
func others(s setting) []probe {
	list := []probe{
		{"a1", "tcp", "d1", 80, dropped},
		{"b1", "udp", "d1", 80, dropped},
		{"a1", "icmp", "d1", 0, dropped},
		{"d1", "tcp", "a1", 80, dropped},
		{"d1", "icmp", "b1", 0, dropped},
		{"host", "tcp", "d1", 80, "d1:80 D"},
	}
	if s.policy == "DROP" {
		list = append(list,
			probe{"lan", "tcp", "outside", 80, dropped},
			probe{"outside", "udp", "lan", 80, dropped})
	} else {
		list = append(list,
			probe{"lan", "tcp", "outside", 80, "outside:80 lan"},
			probe{"outside", "udp", "lan", 80, "lan:80 outside"})
	}
	alone, beside := withoutEngine(s), withEngine()
	switch {
	case s.engine == "":
		return append(list, alone...)
	case s.engine == "20":
		return append(append(list, only(v6, alone)...), only(v4, beside)...)
	case s.engine == engine29 && s.policy == "DROP":
		return append(list, besidePolicy()...)
	}
	return append(list, beside...)
}

// withoutEngine is the traffic of docker0 where no engine has rules for it.
func withoutEngine(s setting) []probe {
	if s.policy == "DROP" {
		// Answers to the engine's bridge are left to the engine's rules.
		return []probe{{"d1", "tcp", "host", 8080, dropped}}
	}
	return []probe{{"d1", "tcp", "host", 8080, "a1:80 d1"}, {"d1", "udp", "host", 85, "a2:85 d1"}}
}

// withEngine is the traffic of docker0 with the engine's rules.
func withEngine() []probe {
	return []probe{
		// The engine masquerades what leaves its bridge.
		{"d1", "tcp", "host", 8080, "a1:80 A"},
		{"d1", "udp", "host", 85, "a2:85 A"},
		{"d1", "tcp", "outside", 80, "outside:80 host"},
		// Its published ports are served by its own rules.
		{"outside", "tcp", "host", 9000, "d1:80 outside"},
		{"host", "tcp", "host", 9000, "d1:80 host"},
		{"a1", "tcp", "host", 9000, "d1:80 D"},
		{"b1", "tcp", "host", 9000, "d1:80 b1"},
		{"i1", "tcp", "host", 9000, dropped},
	}
}

// besidePolicy is the traffic of docker0 with the rules of a native engine
// beside a policy of iptables that drops what these accept. That is the
// engine's own limit; gangway's bridges share it only towards docker0.
func besidePolicy() []probe {
	return []probe{
		{"outside", "tcp", "host", 9000, dropped},
		{"d1", "tcp", "outside", 80, dropped},
		{"d1", "tcp", "host", 8080, dropped},
		{"a1", "tcp", "host", 9000, dropped},
		{"host", "tcp", "host", 9000, "d1:80 host"},
	}
}

// only restricts probes to a family.
func only(f family, list []probe) []probe {
	for i := range list {
		list[i].proto += [...]string{"4", "6"}[f]
	}
	return list
}
