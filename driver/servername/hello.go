package servername

import (
	"bytes"
	"errors"
)

// Numbers of RFC 8446 and RFC 6066.
const (
	recordHandshake  = 22
	helloMessage     = 1
	extensionName    = 0
	nameOfHost       = 0
	recordHeader     = 5
	largestFragment  = 1 << 14
	messageHeader    = 4
	randomLength     = 32
	longestSessionID = 32
	// mostRecords of one message: clients cut it into two or three at most.
	mostRecords = 64
)

var errHello = errors.New("the ClientHello of TLS is malformed")

// ofHello reads the name of a ClientHello, which may be in several records, and one record in
// several segments.
func ofHello(b []byte) (string, error) {
	message, err := helloOf(b)
	if err != nil {
		return "", err
	}
	return nameOf(message)
}

// helloOf puts the message together, without its header.
func helloOf(b []byte) ([]byte, error) {
	var message []byte
	for range mostRecords {
		if len(message) >= messageHeader {
			size := messageHeader + int(message[1])<<16 + int(message[2])<<8 + int(message[3])
			switch {
			case message[0] != helloMessage || size > MostBytes:
				return nil, errHello
			case len(message) >= size:
				return message[messageHeader:size], nil
			}
		}
		switch {
		case len(b) > 0 && b[0] != recordHandshake, len(b) > 1 && b[1] != 3:
			return nil, errHello
		case len(b) < recordHeader:
			return nil, ErrMore
		}
		size := int(b[3])<<8 + int(b[4])
		if size == 0 || size > largestFragment {
			return nil, errHello
		}
		whole := len(b) >= recordHeader+size
		message = append(message, b[recordHeader:min(len(b), recordHeader+size)]...)
		if !whole && len(message) < messageHeader {
			return nil, ErrMore
		}
		if !whole {
			// A message that has ended within this record is read before the record has.
			b = nil
			continue
		}
		b = b[recordHeader+size:]
	}
	return nil, errHello
}

// nameOf reads the one name of the one extension that has it.
func nameOf(message []byte) (string, error) {
	r := reader{rest: message}
	r.take(2 + randomLength)
	if id := r.vector(1); len(id) > longestSessionID {
		return "", errHello
	}
	if suites := r.vector(2); len(suites) == 0 || len(suites)%2 != 0 {
		return "", errHello
	}
	if len(r.vector(1)) == 0 { // methods of compression
		return "", errHello
	}
	if r.failed {
		return "", errHello
	}
	if len(r.rest) == 0 {
		return "", ErrNoName
	}
	all := reader{rest: r.vector(2)}
	if r.failed || len(r.rest) > 0 {
		return "", errHello
	}
	var list []byte
	found := false
	for len(all.rest) > 0 {
		kind := all.take(2)
		data := all.vector(2)
		switch {
		case all.failed, found && isName(kind):
			return "", errHello
		case isName(kind):
			list, found = data, true
		}
	}
	if !found {
		return "", ErrNoName
	}
	return hostIn(list)
}

func isName(kind []byte) bool { return bytes.Equal(kind, []byte{0, extensionName}) }

// hostIn reads a list of names that has one entry: two would be for two readers.
func hostIn(list []byte) (string, error) {
	r := reader{rest: list}
	names := reader{rest: r.vector(2)}
	kind := names.take(1)
	name := names.vector(2)
	if r.failed || names.failed || len(r.rest)+len(names.rest) > 0 || kind[0] != nameOfHost {
		return "", errHello
	}
	return valid(string(name))
}

// reader reads vectors with their lengths before them.
type reader struct {
	rest   []byte
	failed bool
}

// take returns the next bytes; zeros where there are not enough.
func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.rest, r.failed = nil, true
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// vector reads one, whose length is a number of that many bytes.
func (r *reader) vector(lengthBytes int) []byte {
	size := 0
	for _, b := range r.take(lengthBytes) {
		size = size<<8 + int(b)
	}
	if r.failed {
		return nil
	}
	return r.take(size)
}
