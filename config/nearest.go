package config

import (
	"fmt"
	"strings"
)

// unknown is the error for a name that is not known: with the nearest known
// one if there is one that the user may have meant, else with all of them.
func unknown(what, name string, known []string) error {
	if n := nearest(name, known); n != "" {
		return fmt.Errorf("unknown %s %q: did you mean %s?", what, name, n)
	}
	return fmt.Errorf("unknown %s %q: known are %s", what, name, strings.Join(known, ", "))
}

// maxGuess bounds names worth comparing; the comparison costs their product.
const maxGuess = 100

// nearest returns the known name that needs the fewest changes to become name,
// or "" if that would be another word. Names are compared whole and by their
// last part, so that "enable_icc" and "com.docker.network.mtu" find the options
// whose prefix was left out, or is another one. Behind another prefix the last part
// has to be nearer.
func nearest(name string, known []string) string {
	if name == "" || len(name) > maxGuess {
		return ""
	}
	best, least := "", len(name)+1
	for _, k := range known {
		word := last(k)
		limit := max(2, len(word)/3)
		d, part := distance(name, k), distance(last(name), word)
		if part >= len(word) {
			part = maxGuess // no letter of it is left
		}
		switch {
		case !strings.Contains(name, "."):
			d = min(d, part)
		case part <= len(word)/4:
			d = min(d, part+1)
		}
		if d <= limit && d < least {
			best, least = k, d
		}
	}
	return best
}

// last is the part of a dotted name behind its last dot.
func last(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// distance counts the single-byte insertions, deletions and substitutions
// between two names, whatever their case (Levenshtein).
func distance(a, b string) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Nearest returns the known name that the user may have meant, or "".
func Nearest(name string, known []string) string { return nearest(name, known) }
