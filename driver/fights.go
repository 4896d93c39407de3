package driver

import (
	"strings"
	"time"
	"unicode"
)

const (
	// fightRepairs of the same thing within fightTime are a fight: somebody
	// undoes what gangway repairs. The engine itself puts rules before ours now
	// and then, once for each network it creates.
	fightRepairs = 6
	fightTime    = 2 * time.Minute
)

// fights notices repairs that do not last. It is used by one goroutine.
type fights struct {
	// times holds when each thing was repaired, within fightTime.
	times map[string][]time.Time
	// on has a line for each fight that goes on.
	on map[string]string
}

func newFights() *fights {
	return &fights{times: map[string][]time.Time{}, on: map[string]string{}}
}

// note takes the repairs of one comparison and returns the fights that began
// and the ones that are over.
func (f *fights) note(now time.Time, fixed []string) (began, over []string) {
	for key, times := range f.times {
		for len(times) > 0 && now.Sub(times[0]) > fightTime {
			times = times[1:]
		}
		if f.times[key] = times; len(times) > 0 {
			continue
		}
		delete(f.times, key)
		if line, fought := f.on[key]; fought {
			over = append(over, line)
			delete(f.on, key)
		}
	}
	seen := map[string]bool{}
	for _, line := range fixed {
		key := sameRepair(line)
		if seen[key] {
			continue
		}
		seen[key] = true
		// Only as many are needed as make a fight.
		times := append(f.times[key], now)
		f.times[key] = times[max(0, len(times)-fightRepairs):]
		if _, known := f.on[key]; !known && len(times) >= fightRepairs {
			f.on[key] = line
			began = append(began, line)
		}
	}
	return began, over
}

// fought says whether a repair of a fight is among fixed.
func (f *fights) fought(fixed []string) bool {
	for _, line := range fixed {
		if _, on := f.on[sameRepair(line)]; on {
			return true
		}
	}
	return false
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
