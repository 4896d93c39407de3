package rules

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/driver"
)

// wish is a network, and the container on it, as a user asks docker for them.
type wish struct {
	// create are arguments of docker network create. Options go without what
	// stands before the last point of their names.
	create string
	// run are arguments of docker run, or none for a network without container. An
	// option of the container is --driver-opt name=value, its name as in create.
	run string
}

// none is the run of a network without container.
const none = "none"

// wishes are what one host is to have, "|" stands between its networks.
func wishes(create, run string) []wish {
	creates, runs := strings.Split(create, "|"), strings.Split(run, "|")
	var all []wish
	for i, c := range creates {
		w := wish{create: strings.TrimSpace(c)}
		if i < len(runs) {
			w.run = strings.TrimSpace(runs[i])
		}
		all = append(all, w)
	}
	return all
}

// networkID is the id of the network with number n, from 0; endpointID that of
// its container with the given address.
func networkID(n int) string { return strings.Repeat(string(rune('a'+n)), 64) }
func endpointID(n, host int) string {
	return strings.Repeat(string("123456789"[n+3*(host-firstContainer)]), 64)
}

// firstContainer is the host part of the address of a network's container.
const firstContainer = 2

// place is where the network with number n has an address.
func place(n, host int, six bool) netip.Prefix {
	if six {
		return netip.MustParsePrefix(fmt.Sprintf("fd00:%d::%d/64", n, host))
	}
	return netip.MustParsePrefix(fmt.Sprintf("10.200.%d.%d/24", n, host))
}

// grant makes the network with number n and its container, by the verbs that
// the engine uses.
func (h *host) grant(n int, w wish) {
	h.t.Helper()
	request := w.request(h.t, n)
	check, err := h.driver.CheckGateway(h.t.Context(), request.Options)
	h.ok(err)
	if check.SkipIPv4 && len(request.IPv4) > 0 {
		request.IPv4[0].Gateway = netip.Prefix{}
	}
	if check.SkipIPv6 && len(request.IPv6) > 0 {
		request.IPv6[0].Gateway = netip.Prefix{}
	}
	h.ok(h.driver.CreateNetwork(h.t.Context(), request))
	if w.run != none {
		h.join(n, firstContainer, w)
	}
}

// join puts a container with the given address on the network with number n.
func (h *host) join(n, address int, w wish) {
	h.t.Helper()
	request := w.request(h.t, n)
	e := driver.CreateEndpointRequest{NetworkID: request.ID, EndpointID: endpointID(n, address)}
	if len(request.IPv4) > 0 {
		e.IPv4 = place(n, address, false)
	}
	if len(request.IPv6) > 0 {
		e.IPv6 = place(n, address, true)
	}
	of, run := e.EndpointID, w.run
	run, e.Options = driverOptions(h.t, run)
	_, err := h.driver.CreateEndpoint(h.t.Context(), e)
	h.ok(err)
	// The first network's container is connected to another network as well.
	if rest, connected := strings.CutPrefix(run, "connect"); connected {
		of, run = endpointID(0, address), strings.TrimSpace(rest)
	}
	_, err = h.driver.Join(h.t.Context(), e.NetworkID, e.EndpointID, "/run/docker/netns/"+of[:12], nil)
	h.ok(err)
	if ports := publications(h.t, run); len(ports) > 0 {
		list, err := json.Marshal(ports)
		h.ok(err)
		h.ok(h.driver.Publish(h.t.Context(), e.NetworkID, e.EndpointID, config.EndpointOptions{"com.docker.network.portmap": list}))
	}
}

// request is what the engine makes of the arguments.
func (w wish) request(t *testing.T, n int) driver.CreateNetworkRequest {
	t.Helper()
	r := driver.CreateNetworkRequest{ID: networkID(n)}
	options := map[string]any{}
	r.Options = map[string]any{"com.docker.network.generic": options}
	ipv4, ipv6 := true, false
	for _, arg := range strings.Fields(strings.ReplaceAll(w.create, "-o ", "-o=")) {
		switch option, isOption := strings.CutPrefix(arg, "-o="); {
		case isOption:
			name, value, _ := strings.Cut(option, "=")
			options[fullName(t, config.ForNetwork, name)] = strings.ReplaceAll(value, "+", " ")
		case arg == "--ipv6":
			ipv6 = true
			r.Options["com.docker.network.enable_ipv6"] = true
		case arg == "--ipv4=false":
			ipv4 = false
			r.Options["com.docker.network.enable_ipv4"] = false
		case arg == "--internal":
			r.Options["com.docker.network.internal"] = true
		default:
			t.Fatalf("docker network create %s: what is %q?", w.create, arg)
		}
	}
	for _, family := range []struct {
		has, six bool
		pools    *[]driver.PoolData
	}{{ipv4, false, &r.IPv4}, {ipv6, true, &r.IPv6}} {
		if family.has {
			gateway := place(n, 1, family.six)
			*family.pools = []driver.PoolData{{Subnet: gateway.Masked(), Gateway: gateway}}
			if options["gangway.host_access"] == "true" {
				name := map[bool]string{false: config.HostName4, true: config.HostName6}[family.six]
				(*family.pools)[0].Aux = map[string]netip.Prefix{name: place(n, 5, family.six)}
			}
		}
	}
	return r
}

// fullName completes the name of an option that can be given in a place.
func fullName(t *testing.T, place config.Where, short string) string {
	t.Helper()
	table := config.OptionsTable()
	i := slices.IndexFunc(table, func(o config.Option) bool { return o.Where&place != 0 && strings.HasSuffix(o.Name, "."+short) })
	if i < 0 {
		t.Fatalf("there is no option %q for %s", short, place)
	}
	return table[i].Name
}

// driverOptions takes the --driver-opt arguments out of those of docker run.
func driverOptions(t *testing.T, run string) (rest string, options config.EndpointOptions) {
	t.Helper()
	options = config.EndpointOptions{}
	var others []string
	for _, arg := range strings.Fields(strings.ReplaceAll(run, "--driver-opt ", "--driver-opt=")) {
		option, isOption := strings.CutPrefix(arg, "--driver-opt=")
		if !isOption {
			others = append(others, arg)
			continue
		}
		name, value, _ := strings.Cut(option, "=")
		options[fullName(t, config.ForContainer, name)] = []byte(strconv.Quote(strings.ReplaceAll(value, "+", " ")))
	}
	return strings.Join(others, " "), options
}

// publications are the -p arguments, each port one by one as the engine sends
// them.
func publications(t *testing.T, run string) []any {
	t.Helper()
	var all []any
	for arg := range strings.FieldsSeq(strings.ReplaceAll(run, "-p ", "")) {
		ports, proto, _ := strings.Cut(arg, "/")
		number, known := map[string]int{"": 6, "tcp": 6, "udp": 17, "sctp": 132}[proto]
		parts := strings.Split(ports, ":")
		if !known || len(parts) < 2 {
			t.Fatalf("docker run -p %s: what is that?", arg)
		}
		host := strings.Trim(strings.Join(parts[:len(parts)-2], ":"), "[]")
		from, last := portRun(t, parts[len(parts)-2])
		to, _ := portRun(t, parts[len(parts)-1])
		for i := 0; from+i <= last; i++ {
			all = append(all, map[string]any{
				"Proto": float64(number), "IP": "", "HostIP": host,
				"Port": float64(to + i), "HostPort": float64(from + i), "HostPortEnd": float64(from + i),
			})
		}
	}
	return all
}

func portRun(t *testing.T, text string) (first, last int) {
	t.Helper()
	from, to, ranged := strings.Cut(text, "-")
	first, err := strconv.Atoi(from)
	if last = first; ranged && err == nil {
		last, err = strconv.Atoi(to)
	}
	if err != nil {
		t.Fatalf("ports %q: %v", text, err)
	}
	return first, last
}
