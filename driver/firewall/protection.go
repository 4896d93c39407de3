package firewall

// Protection says what stands between a flush of all rules by others and open
// networks, until the rules are back.
type Protection string

// The protections, the best first. Which one there is depends on the kernel and on
// the backend.
const (
	// OwnTable is a table that nobody else can flush or change (Linux 6.9).
	OwnTable Protection = "owned table"
	// ClosedTable is one that drops everything while the rules are missing
	// (Linux 5.12).
	ClosedTable Protection = "fail-closed table"
	// NoProtection is none.
	NoProtection Protection = "none"
)

// Meaning says it to users, in half a sentence.
func (p Protection) Meaning() string {
	switch p {
	case OwnTable:
		return "nobody else can change or flush the rules"
	case ClosedTable:
		return "if others flush the rules, networks are cut off until the repair"
	case NoProtection:
		return "if others flush the rules, networks are open until the repair; Linux 5.12 or newer with nf_tables prevents that"
	}
	return ""
}

// ProtectionOf asks a backend. One that does not say is empty.
func ProtectionOf(b Backend) Protection {
	if p, says := b.(interface{ Protection() Protection }); says {
		return p.Protection()
	}
	return ""
}
