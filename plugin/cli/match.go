package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/config"
	"github.com/gangway-net/gangway/plugin"
)

// notFoundError says that nothing is called what the user named: the command ends with
// exit code 2.
type notFoundError struct{ msg string }

func (e *notFoundError) Error() string { return e.msg }

// noNames is why a name may be unknown that docker shows.
const noNames = "no names are known, as the daemon does not reach the engine's API (GANGWAY_ENGINE): give an id"

// named is what can be named by name, and by the beginning of one of its ids.
type named struct {
	name string
	// ids are the one that tells it from others, and further ones.
	ids []string
}

// pick returns the key ids of what the user names: everything of that name, else the one
// thing with an id that begins so. what is the word for it, where says where it was
// looked for.
func pick(what, where, arg string, all []named) (map[string]bool, error) {
	byName, byID := map[string]bool{}, map[string]bool{}
	for _, n := range all {
		if n.name == arg {
			byName[n.ids[0]] = true
		}
		if slices.ContainsFunc(n.ids, func(id string) bool { return strings.HasPrefix(id, arg) }) {
			byID[n.ids[0]] = true
		}
	}
	switch {
	case len(byName) > 0:
		return byName, nil
	case len(byID) == 1:
		return byID, nil
	case len(byID) > 1:
		return nil, fmt.Errorf("%s %q: %d ids begin so: give more of it", what, arg, len(byID))
	}
	return nil, notFound(fmt.Sprintf("no %s %q %s", what, arg, where), arg, all)
}

// notFound says what there is instead.
func notFound(msg, arg string, all []named) error {
	names := map[string]bool{}
	for _, n := range all {
		names[n.name] = true
	}
	delete(names, "")
	known := slices.Sorted(maps.Keys(names))
	switch n := config.Nearest(arg, known); {
	case len(known) == 0 && len(all) > 0:
		msg += ": " + noNames
	case n != "":
		msg += fmt.Sprintf(": did you mean %q?", n)
	case len(known) > 0 && len(known) <= 10:
		msg += ": there are " + strings.Join(known, ", ")
	}
	return &notFoundError{msg}
}

// containers are what endpoints can be named by: whose they are.
func containers(endpoints []plugin.Endpoint) (all []named) {
	for _, e := range endpoints {
		// Without names a container is known by its endpoint alone.
		ids := []string{e.ID}
		if e.ContainerID != "" {
			ids = []string{e.ContainerID, e.ID}
		}
		all = append(all, named{e.ContainerName, ids})
	}
	return all
}

// key is the id that tells a container from others.
func key(w plugin.Whose, endpointID string) string {
	if w.ContainerID != "" {
		return w.ContainerID
	}
	return endpointID
}

// hostPort is a port of the host, of one protocol or of all.
type hostPort struct {
	number   uint16
	protocol string
}

func (p hostPort) String() string {
	if p.protocol == "" {
		return strconv.Itoa(int(p.number))
	}
	return strconv.Itoa(int(p.number)) + "/" + p.protocol
}

// parsePort reads 8000 and 8000/udp; isPort says whether it can be meant for one.
func parsePort(arg string) (p hostPort, isPort bool, err error) {
	number, protocol, given := strings.Cut(arg, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		if given {
			return p, true, fmt.Errorf("port %q: want 1 to 65535, and behind a / tcp, udp or sctp", arg)
		}
		return p, false, nil
	}
	if protocol = strings.ToLower(protocol); given && !slices.Contains([]string{"tcp", "udp", "sctp"}, protocol) {
		return p, true, fmt.Errorf("port %q: want 1 to 65535, and behind a / tcp, udp or sctp", arg)
	}
	return hostPort{uint16(n), protocol}, true, nil
}

// is says whether a run has the port.
func (p hostPort) is(run plugin.Port) bool {
	return run.First <= p.number && p.number <= run.Last && (p.protocol == "" || p.protocol == run.Protocol)
}

// notPublished says so, and which port is nearest.
func (p hostPort) notPublished(all []plugin.Port) error {
	msg := fmt.Sprintf("port %s is not published", p)
	best, least := "", 1<<17
	for _, run := range all {
		for _, n := range []uint16{run.First, run.Last} {
			distance := max(int(n)-int(p.number), int(p.number)-int(n))
			if p.protocol != "" && p.protocol != run.Protocol {
				distance += 1 << 16
			}
			if distance < least {
				best, least = hostPort{n, run.Protocol}.String(), distance
			}
		}
	}
	if best != "" {
		msg += ": the nearest is " + best
	}
	return &notFoundError{msg}
}
