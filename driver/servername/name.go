package servername

import (
	"errors"
	"net/netip"
	"strings"
)

// MostBytes bounds a ClientHello, and the head of a request. Browsers send some two
// kilobytes, with keys for the time after quantum computers.
const MostBytes = 64 << 10

var (
	// ErrMore says that more bytes are needed.
	ErrMore = errors.New("more is needed")
	// ErrNoName says that no name is said.
	ErrNoName = errors.New("no server name is said")
	// ErrUnknown says that it is neither TLS nor HTTP.
	ErrUnknown = errors.New("it is neither TLS nor HTTP")
)

// Protocol is what a client speaks.
type Protocol string

// The protocols that say a name.
const (
	TLS  Protocol = "tls"
	HTTP Protocol = "http"
)

// Of returns what a client that has begun with these bytes speaks, and the name that it says,
// as policies write names.
func Of(b []byte) (Protocol, string, error) {
	switch {
	case len(b) == 0:
		return "", "", ErrMore
	case b[0] == recordHandshake:
		name, err := ofHello(b)
		return TLS, name, err
	case b[0] >= 'A' && b[0] <= 'Z':
		name, err := ofRequest(b)
		if errors.Is(err, ErrUnknown) {
			return "", "", err
		}
		return HTTP, name, err
	}
	return "", "", ErrUnknown
}

// valid checks a name, and gives it the form that policies have.
func valid(name string) (string, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(name); err == nil || name == "" {
		return "", ErrNoName
	}
	if len(name) > 253 {
		return "", errors.New("the server name is too long")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", errors.New("the server name is no name of the DNS")
		}
	}
	return name, nil
}
