package spec

// Traffic is what has passed an endpoint's pair since it was made, as its container sees
// it.
type Traffic struct {
	SentBytes, SentPackets         uint64
	ReceivedBytes, ReceivedPackets uint64
}

// FlowUse is how full the table of tracked flows is.
type FlowUse struct {
	// Flows are tracked at present, at most Limit.
	Flows, Limit uint32
}
