package metrics

// The types of metrics.
const (
	Counter   = "counter"
	Gauge     = "gauge"
	Histogram = "histogram"
)

// Metric is one row of the table.
type Metric struct {
	Name, Type, Help string
	Labels           []string
}

// Names of the metrics. They never change; what a metric means neither.
const (
	buildInfo    = "gangway_build_info"
	healthState  = "gangway_health_state"
	healthCauses = "gangway_health_causes"
	firewallInfo = "gangway_firewall_info"
	unguarded    = "gangway_unguarded"

	callsInFlight = "gangway_calls_in_flight"
	callsAnswered = "gangway_calls_total"
	callDuration  = "gangway_call_duration_seconds"

	checks    = "gangway_checks_total"
	lastCheck = "gangway_last_check_timestamp_seconds"
	repairs   = "gangway_repairs_total"
	flapping  = "gangway_flapping_repairs"
	events    = "gangway_events_total"

	networks  = "gangway_networks"
	endpoints = "gangway_network_endpoints"
	ports     = "gangway_published_ports"

	sentBytes       = "gangway_endpoint_transmit_bytes_total"
	sentPackets     = "gangway_endpoint_transmit_packets_total"
	receivedBytes   = "gangway_endpoint_receive_bytes_total"
	receivedPackets = "gangway_endpoint_receive_packets_total"

	refused          = "gangway_refused_packets_total"
	refusedOfNetwork = "gangway_network_refused_packets_total"

	policyInfo      = "gangway_policy_info"
	policyDecisions = "gangway_policy_packets_total"

	poolUsed = "gangway_pool_used_addresses"
	poolFree = "gangway_pool_free_addresses"

	flowsTracked = "gangway_conntrack_entries"
	flowsLimit   = "gangway_conntrack_entries_limit"

	sourceUp = "gangway_scrape_source_success"
)

// ofNetwork and ofEndpoint are the labels of what is about a network, or an endpoint.
func ofNetwork(more ...string) []string { return append([]string{"network", "network_name"}, more...) }

func ofEndpoint() []string { return ofNetwork("endpoint", "container") }

// Table lists every metric of gangway in the order of the documentation.
func Table() []Metric {
	return []Metric{
		{buildInfo, Gauge, "The running build; always 1.", []string{"version", "commit", "goversion"}},
		{healthState, Gauge, "1 for the state of the daemon (ok, degraded, problem), 0 for the others.", []string{"state"}},
		{healthCauses, Gauge, "How many causes there are of each code, and the state that it makes.", []string{"cause", "state"}},
		{firewallInfo, Gauge, "What keeps the rules, and what stands between a flush of all rules by others and open networks; always 1.", []string{"firewall", "protection"}},
		{unguarded, Gauge, "1 if the kernel cannot filter what containers send, else 0.", nil},

		{callsInFlight, Gauge, "Calls of the engine under way.", nil},
		{callsAnswered, Counter, "Calls of the engine that were answered, by the result (ok, refused: the request does not hold, failed).", []string{"call", "result"}},
		{callDuration, Histogram, "Time until a call of the engine was answered.", []string{"call"}},

		{checks, Counter, "Comparisons of the kernel with the desired state.", nil},
		{lastCheck, Gauge, "End of the last comparison of the kernel with the desired state, as seconds since the epoch; 0 for never.", nil},
		{repairs, Counter, "Repairs of what was not as desired, by what was repaired.", []string{"kind"}},
		{flapping, Gauge, "Repairs that somebody undoes again and again.", nil},
		{events, Counter, "Events of gangway, by their kind.", []string{"kind"}},

		{networks, Gauge, "Networks.", nil},
		{endpoints, Gauge, "Endpoints of a network, joined or not.", ofNetwork()},
		{ports, Gauge, "Published ports: each port of a range counts, and each host address.", ofNetwork("protocol")},

		{sentBytes, Counter, "Bytes that a container has sent on a network, those among them that were refused.", ofEndpoint()},
		{sentPackets, Counter, "Packets that a container has sent on a network, those among them that were refused.", ofEndpoint()},
		{receivedBytes, Counter, "Bytes that a container has received on a network.", ofEndpoint()},
		{receivedPackets, Counter, "Packets that a container has received on a network.", ofEndpoint()},

		{refused, Counter, "Packets that were refused, by the reason, those of networks that are gone among them.", []string{"reason"}},
		{refusedOfNetwork, Counter, "Packets that were refused into a network, out of it, or with an address of it, by the reason.", ofNetwork("reason")},

		{policyInfo, Gauge, "The policy of a network, or of a container that has one of its own; always 1. Those with the very same policy have the same name, which stays while it changes.", ofNetwork("endpoint", "container", "policy")},
		{policyDecisions, Counter, "Packets that began a flow, or were to, and passed, were refused or only counted (audited) by an entry of a policy. Entries behind the first 32 are one.", []string{"policy", "option", "entry", "verdict"}},

		{poolUsed, Gauge, "Addresses of a pool of gangway's address manager that are in use, the gateway's among them.", []string{"pool"}},
		{poolFree, Gauge, "Addresses of a pool of gangway's address manager that a container can still get without asking for one by name.", []string{"pool"}},

		{flowsTracked, Gauge, "Flows that the kernel tracks in the host's network namespace.", nil},
		{flowsLimit, Gauge, "Flows that the kernel tracks at most.", nil},

		{sourceUp, Gauge, "1 if what metrics are made from was there in time, else 0; its metrics are left out then.", []string{"source"}},
	}
}
