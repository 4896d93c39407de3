package cli

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// leastName is to what a name is cut before anything else is.
const leastName = 16

// fit makes a table not wider than limit, 0 for any width. Cells with several words go on
// in the next line; where that is not enough, words are cut: first the names, in the
// columns that have these headers, then those of the widest columns. The first row is
// the header, which stays.
func fit(table [][]string, limit int, names ...string) [][]string {
	if limit == 0 || len(table) == 0 {
		return table
	}
	widths := longest(table, func(cell string) []string { return []string{cell} })
	headers, whole, words := longest(table[:1], items), longest(table, items), longest(table, strings.Fields)
	for i, header := range table[0] {
		headers[i] = utf8.RuneCountInString(header)
		whole[i], words[i] = max(whole[i], headers[i]), max(words[i], headers[i])
		if slices.Contains(names, header) {
			words[i] = max(headers[i], min(words[i], leastName))
		}
	}
	for _, least := range [][]int{whole, words, headers} {
		shrink(widths, least, limit)
	}
	var out [][]string
	for _, cells := range table {
		out = append(out, wrap(cells, widths)...)
	}
	return out
}

// longest is the length of the longest part of a cell in each column.
func longest(table [][]string, parts func(string) []string) []int {
	widths := make([]int, len(table[0]))
	for _, cells := range table {
		for i, cell := range cells {
			for _, part := range parts(cell) {
				widths[i] = max(widths[i], utf8.RuneCountInString(part))
			}
		}
	}
	return widths
}

// items parts a cell at commas or, if it has none, at blanks.
func items(cell string) []string {
	if !strings.Contains(cell, ", ") {
		return strings.Fields(cell)
	}
	parts := strings.Split(cell, ", ")
	for i := range parts[:len(parts)-1] {
		parts[i] += ","
	}
	return parts
}

// pieces are a cell's items, and the words of those that are too long.
func pieces(cell string, width int) (all []string) {
	for _, item := range items(cell) {
		if utf8.RuneCountInString(item) <= width {
			all = append(all, item)
			continue
		}
		for _, word := range strings.Fields(item) {
			all = append(all, cut(word, width))
		}
	}
	return all
}

// cut takes characters out of the middle: names of one project begin alike, and end with
// what tells them apart.
func cut(word string, width int) string {
	r := []rune(word)
	if len(r) <= width {
		return word
	}
	head := width / 3
	return string(r[:head]) + "…" + string(r[len(r)-(width-1-head):])
}

// shrink takes from the widest columns until all fit, from none more than down to its
// least width.
func shrink(widths, least []int, limit int) {
	for total(widths) > limit {
		widest := -1
		for i, w := range widths {
			if w > least[i] && (widest < 0 || w > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func total(widths []int) int {
	sum := gap * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}

// wrap makes lines of a row.
func wrap(cells []string, widths []int) (lines [][]string) {
	for i, cell := range cells {
		for n, part := range split(cell, widths[i]) {
			if n == len(lines) {
				lines = append(lines, make([]string, len(cells)))
			}
			lines[n][i] = part
		}
	}
	return lines
}

// split parts a text between items or words.
func split(text string, width int) []string {
	if utf8.RuneCountInString(text) <= width {
		return []string{text}
	}
	var parts []string
	line := ""
	for _, word := range pieces(text, width) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			parts = append(parts, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(parts, line)
}
