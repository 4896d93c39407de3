package driver

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// Who fights undoes each repair, again and again; who reloads a firewall damages
// once, now and then, and needs it mended at once each time, however often. What
// tells them apart is how long a repair stands and how many do not, rather than
// how many there are in a time: one reload alone can need several, while its
// manager takes rules away and puts others in their place.
const (
	// rowTime is how long a repair has to stand until what needs it again has
	// nothing to do with it.
	rowTime = time.Minute
	// atOnce is how long a repair stands at most that somebody undoes because it
	// was made, rather than as he did before.
	atOnce = time.Second
	// fightRepairs in a row that were undone at once are a fight: they take
	// some twelve seconds, longer than a reload. So are as many that were not,
	// those between not counted: the row is then one of somebody's reloads.
	fightRepairs = 30
	// flapRepairs in a row that were undone at once, some four seconds, are worth
	// telling who asks for the status: what they mend works half of the time at best.
	flapRepairs = 10
)

// fights notices repairs that do not last. It is used by one goroutine.
type fights struct {
	// rows has what was repaired within rowTime.
	rows map[string]*row
}

// row is the same repair again and again, each within rowTime of the last.
type row struct {
	line string
	last time.Time
	// quick is how many of the last ones had to be made since the one before was
	// undone at once, slow how many since it was undone later.
	quick, slow int
	fight       bool
}

func newFights() *fights {
	return &fights{rows: map[string]*row{}}
}

// note takes the repairs of a comparison, made now, and returns the fights that
// began and the ones that are over. changed is the first moment at which what
// they mended can have been damaged.
func (f *fights) note(changed, now time.Time, fixed []string) (began, over []string) {
	same := map[string]string{}
	for _, line := range fixed {
		same[sameRepair(line)] = line
	}
	for key, r := range f.rows {
		stood := now
		if same[key] != "" {
			stood = changed
		}
		if stood.Sub(r.last) > atOnce {
			r.quick = 0
		}
		if stood.Sub(r.last) > rowTime {
			delete(f.rows, key)
			if r.fight {
				over = append(over, r.line)
			}
		}
	}
	for key, line := range same {
		r := f.rows[key]
		if r == nil {
			f.rows[key] = &row{line: line, last: now}
			continue
		}
		if changed.Sub(r.last) <= atOnce {
			r.quick++
		} else {
			r.slow++
		}
		r.last = now
		if !r.fight && max(r.quick, r.slow) >= fightRepairs {
			r.fight = true
			began = append(began, line)
		}
	}
	slices.Sort(began)
	return began, over
}

// on has a sorted line for each fight that goes on.
func (f *fights) on() []string { return f.lines(func(r *row) bool { return r.fight }) }

// flapping has a sorted line for each repair that does not last.
func (f *fights) flapping() []string {
	return f.lines(func(r *row) bool { return r.fight || r.quick >= flapRepairs })
}

func (f *fights) lines(of func(*row) bool) (lines []string) {
	for _, r := range f.rows {
		if of(r) {
			lines = append(lines, r.line)
		}
	}
	slices.Sort(lines)
	return lines
}

// known says whether a repair is one of a fight that goes on.
func (f *fights) known(line string) bool {
	r := f.rows[sameRepair(line)]
	return r != nil && r.fight
}

// undone says how often in a row what is repaired now had been undone at once.
func (f *fights) undone(fixed []string) (times int) {
	for _, line := range fixed {
		if r := f.rows[sameRepair(line)]; r != nil {
			times = max(times, r.quick)
		}
	}
	return times
}

// sameRepair leaves out the numbers of a line, which differ from one repair of
// the same thing to the next.
func sameRepair(line string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, line)
}
