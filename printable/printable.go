// Package printable makes text fit for a terminal, a log and a list of one entry a
// line: names of processes and interfaces, and what other programs answer, may hold
// any bytes, and a terminal obeys some of them.
//
// Invariant: what it returns has no character that a terminal acts on or that changes
// the order in which others are shown: no control character of ASCII or of C1
// (U+0080 to U+009F), no mark of direction or of format, no invalid UTF-8. It writes
// these as Go does in a string, such as \x1b, so that nothing is lost; text without
// them stays as it is.
//
// It refuses to say what a name may be: that is for whoever takes the name.
package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Word escapes what does not belong into one line. It is for names from outside, and
// for the place where they come in: a line break in them would begin a line that we
// never wrote.
func Word(s string) string { return escape(s, unicode.IsPrint, quoted) }

// Text is Word for whole messages, which may have several lines and tabs.
func Text(s string) string {
	return escape(s, func(r rune) bool { return r == '\n' || r == '\t' || unicode.IsPrint(r) }, quoted)
}

// JSON escapes a JSON text that is valid but for its UTF-8, without changing what it
// means. Outside of strings it may have line breaks only.
func JSON(s string) string {
	return escape(s, func(r rune) bool { return r == '\n' || unicode.IsPrint(r) }, func(r rune, _ string) string {
		if high, low := utf16(r); low != 0 {
			return hex4(high) + hex4(low)
		}
		return hex4(r)
	})
}

// escape replaces every character that is not fit, and every byte of invalid UTF-8.
func escape(s string, fit func(rune) bool, as func(r rune, raw string) string) string {
	bad := func(r rune) bool { return !fit(r) }
	if utf8.ValidString(s) && !strings.ContainsFunc(s, bad) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if bad(r) || r == utf8.RuneError && size == 1 {
			b.WriteString(as(r, s[:size]))
		} else {
			b.WriteString(s[:size])
		}
		s = s[size:]
	}
	return b.String()
}

// quoted is what stands for a character, or for a byte that is none, in a Go string.
func quoted(_ rune, raw string) string {
	q := strconv.Quote(raw)
	return q[1 : len(q)-1]
}

// utf16 returns the two halves of a character beyond 16 bits, else low is 0.
func utf16(r rune) (high, low rune) {
	if r <= 0xffff {
		return r, 0
	}
	r -= 0x10000
	return 0xd800 + r>>10, 0xdc00 + r&0x3ff
}

// hex4 is a JSON escape.
func hex4(r rune) string {
	digits := strconv.FormatInt(int64(r), 16)
	return `\u` + strings.Repeat("0", 4-len(digits)) + digits
}
