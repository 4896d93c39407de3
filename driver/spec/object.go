package spec

// Kind says what an object is; it is a word for people as well.
type Kind string

// Object is one thing that should be there, in the kernel or beside it, for a network
// or an endpoint. Objects are values: they never change, and two that mean the same
// are deeply equal.
type Object interface {
	// Kind says what it is.
	Kind() Kind
	// Key tells it from the others of its kind. It is comparable. Of an object that
	// is nothing but an element of a set it is the object itself.
	Key() any
	// String describes it for people, in a line.
	String() string
}

// The kinds of objects that are no rules of the firewall.
const (
	KindBridge     Kind = "bridge"
	KindPair       Kind = "link pair"
	KindZone       Kind = "firewall zone"
	KindForwarding Kind = "forwarding"
	KindHostPorts  Kind = "host ports"
)

// Kind and Key make Bridge an Object.
func (b Bridge) Kind() Kind { return KindBridge }

// Key is the name.
func (b Bridge) Key() any { return b.Name }

// Kind and Key make Veth an Object.
func (v Veth) Kind() Kind { return KindPair }

// Key is the endpoint's id.
func (v Veth) Key() any { return v.EndpointID }

// Zone is the place of a bridge in the zone where a manager of the host's firewall lets
// its packets pass.
type Zone struct{ Bridge string }

// Kind and Key make Zone an Object.
func (z Zone) Kind() Kind { return KindZone }

// Key is the zone itself.
func (z Zone) Key() any { return z }

// Forwarding is the passing of packets of one family from link to link.
type Forwarding struct{ Six bool }

// Kind and Key make Forwarding an Object.
func (f Forwarding) Kind() Kind { return KindForwarding }

// Key is the forwarding itself.
func (f Forwarding) Key() any { return f }

// HostPorts are the host ports that a container has. Its endpoints take turns in
// publishing them, so they are the container's.
type HostPorts struct {
	// Sandbox is the engine's key of the container's namespace.
	Sandbox string
	// Runs are the ports, no two of which have a host port in common.
	Runs []EndpointRun
}

// EndpointRun is a run of published ports, and the endpoint that it leads to.
type EndpointRun struct {
	EndpointID string
	Published
}

// Kind and Key make HostPorts an Object.
func (p HostPorts) Kind() Kind { return KindHostPorts }

// Key is the sandbox.
func (p HostPorts) Key() any { return p.Sandbox }

// Kind and Key make Outside an Object.
func (o Outside) Kind() Kind { return "link that leads outside" }

// Key is the link itself.
func (o Outside) Key() any { return o }
