package drift

import (
	"slices"
	"strings"
	"time"
	"unicode"
)

// Flapping is that somebody undoes each repair, again and again; who only reloads a firewall damages
// once, now and then, and needs it mended at once each time, however often. What
// tells them apart is how long a repair stands and how many do not, rather than
// how many there are in a time: one reload alone can need several, while its
// manager takes rules away and puts others in their place.
const (
	// RowTime is how long a repair has to stand until what needs it again has
	// nothing to do with it.
	RowTime = time.Minute
	// atOnce is how long a repair stands at most that somebody undoes because it
	// was made, rather than as he did before.
	atOnce = time.Second
	// CertainRepairs in a row that were undone at once are flapping: they take
	// some twelve seconds, longer than a reload. So are as many that were not,
	// those between not counted: the row is then one of somebody's reloads.
	CertainRepairs = 30
	// likelyRepairs in a row that were undone at once, some four seconds, are worth
	// telling who asks for the status: what they mend works half of the time at best.
	likelyRepairs = 10
)

// flapping notices repairs that do not last. It is used by one goroutine.
type flapping struct {
	// rows has what was repaired within RowTime.
	rows map[string]*row
}

// row is the same repair again and again, each within RowTime of the last.
type row struct {
	line string
	last time.Time
	// quick is how many of the last ones had to be made since the one before was
	// undone at once, slow how many since it was undone later.
	quick, slow int
	certain     bool
}

// newFlapping returns one that has not been told of any repair.
func newFlapping() *flapping {
	return &flapping{rows: map[string]*row{}}
}

// note takes the repairs of a comparison, made now, and returns the repairs of
// which flapping began and those of which it is over. changed is the first moment at which what
// they mended can have been damaged.
func (f *flapping) note(changed, now time.Time, fixed []string) (began, over []string) {
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
		if stood.Sub(r.last) > RowTime {
			delete(f.rows, key)
			if r.certain {
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
		if !r.certain && max(r.quick, r.slow) >= CertainRepairs {
			r.certain = true
			began = append(began, line)
		}
	}
	slices.Sort(began)
	return began, over
}

// certain has a sorted line for each repair that somebody keeps undoing.
func (f *flapping) certain() []string { return f.lines(func(r *row) bool { return r.certain }) }

// likely has a sorted line for each repair that does not last for now, those of certain among
// them.
func (f *flapping) likely() []string {
	return f.lines(func(r *row) bool { return r.certain || r.quick >= likelyRepairs })
}

func (f *flapping) lines(of func(*row) bool) (lines []string) {
	for _, r := range f.rows {
		if of(r) {
			lines = append(lines, r.line)
		}
	}
	slices.Sort(lines)
	return lines
}

// known says whether a repair is one that somebody keeps undoing.
func (f *flapping) known(line string) bool {
	r := f.rows[sameRepair(line)]
	return r != nil && r.certain
}

// undone says how often in a row what is repaired now had been undone at once.
func (f *flapping) undone(fixed []string) (times int) {
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
