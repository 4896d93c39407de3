package dockerapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// portFilter is what a client wants of a list of containers that the engine cannot tell,
// as it does not know all ports: those that publish or expose one of some ports.
//
// It has the meaning that it has in the engine (moby, daemon/list.go): one port of either
// kind is enough, and then as many containers as the limit says, the newest first. The
// engine is asked for the list without these three.
type portFilter struct {
	// publish and expose have ports as "80/tcp"; limit is 0 for none.
	publish, expose map[string]bool
	limit           int
	// query is the one for the engine.
	query string
}

// filterOf returns the filter of a request; nil if there is none, or if it is one that the
// engine refuses, in its own words.
func filterOf(req *http.Request) *portFilter {
	if req.Method != http.MethodGet || !answerKinds()[0].path.MatchString(req.URL.Path) {
		return nil
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return nil
	}
	var filters map[string]json.RawMessage
	if json.Unmarshal([]byte(query.Get("filters")), &filters) != nil {
		return nil
	}
	f := &portFilter{}
	var ok bool
	if f.publish, ok = portsOf(filters["publish"]); !ok {
		return nil
	}
	if f.expose, ok = portsOf(filters["expose"]); !ok || len(f.publish)+len(f.expose) == 0 {
		return nil
	}
	if text := query.Get("limit"); text != "" {
		if f.limit, err = strconv.Atoi(text); err != nil {
			return nil
		}
	}
	if f.limit > 0 { // then those that ended count as well
		query.Del("limit")
		query.Set("all", "1")
	}
	delete(filters, "publish")
	delete(filters, "expose")
	query.Del("filters")
	if len(filters) > 0 {
		rest, err := json.Marshal(filters)
		if err != nil {
			return nil
		}
		query.Set("filters", string(rest))
	}
	f.query = query.Encode()
	return f
}

// portsOf reads the values of a filter: the keys of a map, or a list, as before version 1.22
// of the API. ok is false for what is no port.
func portsOf(raw json.RawMessage) (ports map[string]bool, ok bool) {
	ports = map[string]bool{}
	if raw == nil {
		return ports, true
	}
	var values []string
	var set map[string]bool
	if json.Unmarshal(raw, &set) == nil {
		for value := range set {
			values = append(values, value)
		}
	} else if json.Unmarshal(raw, &values) != nil {
		return nil, false
	}
	for _, value := range values {
		if !addRange(ports, value) {
			return nil, false
		}
	}
	return ports, true
}

// addRange adds 80, 80/udp or 80-90/tcp.
func addRange(ports map[string]bool, value string) bool {
	span, protocol, given := strings.Cut(value, "/")
	if protocol = strings.ToLower(protocol); !given || protocol == "" {
		protocol = "tcp"
	}
	if protocol != "tcp" && protocol != "udp" && protocol != "sctp" {
		return false
	}
	from, to, ranged := strings.Cut(span, "-")
	if !ranged {
		to = from
	}
	first, err := strconv.ParseUint(from, 10, 16)
	if err != nil {
		return false
	}
	last, err := strconv.ParseUint(to, 10, 16)
	if err != nil || last < first {
		return false
	}
	for n := first; n <= last; n++ {
		ports[fmt.Sprintf("%d/%s", n, protocol)] = true
	}
	return true
}

// rewrite returns the head of the request for the engine.
func (f *portFilter) rewrite(head []byte, req *http.Request) []byte {
	_, rest, _ := bytes.Cut(head, []byte("\n"))
	target := *req.URL
	target.RawQuery = f.query
	line := fmt.Sprintf("%s %s %s\r\n", req.Method, target.RequestURI(), req.Proto)
	return append([]byte(line), rest...)
}

// apply returns the list with what is wanted of it; what is left is as it was.
func (f *portFilter) apply(text []byte) ([]byte, error) {
	out, n := []byte{'['}, 0
	err := eachElement(text, func(value []byte, _ int) error {
		var c struct{ Ports []binding }
		if err := json.Unmarshal(value, &c); err != nil {
			return err
		}
		if !f.matches(c.Ports) || f.limit > 0 && n == f.limit {
			return nil
		}
		if n++; n > 1 {
			out = append(out, ',')
		}
		out = append(out, value...)
		return nil
	})
	return append(out, "]\n"...), err
}

func (f *portFilter) matches(ports []binding) bool {
	for _, p := range ports {
		public := strconv.Itoa(int(p.PublicPort)) + "/" + p.Type
		if f.publish[public] || f.expose[p.key()] {
			return true
		}
	}
	return false
}
