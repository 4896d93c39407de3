package events

import (
	"strings"
	"time"
	"unicode/utf8"
)

// The kinds of events.
const (
	// Started is the start of a daemon: those before it are of earlier ones.
	Started = "started"
	// Repair is one thing in the kernel that was not as it should be.
	Repair = "repair"
	// Lost is an endpoint that was removed since its container is gone, or a
	// network since its engine has it no more.
	Lost = "lost"
	// Flapping says that the same repair is needed again and again, FlappingOver that it
	// no longer is.
	Flapping     = "flapping"
	FlappingOver = "settled"
	// Problem says that the kernel could not be made what it should be, or that
	// the host lacks what a network names; Solved that it is so no longer.
	Problem = "problem"
	Solved  = "solved"
	// Dropped says how many packets were refused since the last event of the kind,
	// and why; there is at most one a minute.
	Dropped = "dropped"
)

// Kinds lists them.
func Kinds() []string {
	return []string{Started, Repair, Lost, Flapping, FlappingOver, Problem, Solved, Dropped}
}

// Event is something that happened without a request.
type Event struct {
	// Number grows by one from event to event, and by more over a start of the daemon: each
	// begins with the microseconds since 1970, so that it gives no number that an earlier one
	// has given and could not write down any more.
	Number uint64    `json:"number"`
	Time   time.Time `json:"time"`
	// Kind is one of the constants of this package.
	Kind string `json:"kind"`
	// Text is the whole in words, Reason what was found, Done what was done about it;
	// empty for nothing.
	Text   string `json:"text"`
	Reason string `json:"reason,omitempty"`
	Done   string `json:"done,omitempty"`
	// What it is about, as far as that has a name.
	NetworkID     string `json:"network,omitempty"`
	NetworkName   string `json:"networkName,omitempty"`
	ContainerID   string `json:"container,omitempty"`
	ContainerName string `json:"containerName,omitempty"`
}

// putBack is what is done about what a line of a repair only says that it was found.
const putBack = "put back"

// maxText bounds each text of an event, in bytes.
const maxText = 4 << 10

// newEvent returns an event of now. What was found and what was done become one text.
func newEvent(kind, reason, done string) Event {
	text := reason
	if done != "" {
		text += ": " + done
	}
	return Event{Time: time.Now(), Kind: kind, Text: cut(text), Reason: cut(reason), Done: cut(done)}
}

// repaired is the event of a repair, which is told in one line: what was found and, behind the
// last colon, what was done. Lines of rules have only the first.
func repaired(line string) Event {
	e := newEvent(Repair, line, "")
	e.Done = putBack
	if i := strings.LastIndex(line, ": "); i >= 0 {
		e.Reason, e.Done = cut(line[:i]), cut(line[i+2:])
	}
	return e
}

// cut bounds a text, between two characters.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
