package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mostWords is how long the sentences of a page are at most, on average.
const mostWords = 25

// The parts of a page that are no sentences: code, tables, headings, link targets.
var (
	codeBlock  = regexp.MustCompile("(?ms)^```.*?^```|^(?:    |\t).*?$")
	noSentence = regexp.MustCompile(`(?m)^(?:#.*|\|.*|<!--.*|\[[^]]*\]: .*)$`)
	linkTarget = regexp.MustCompile(`\]\([^)]*\)`)
	inlineCode = regexp.MustCompile("`[^`]*`")
	listItem   = regexp.MustCompile(`(?m)^\s*(?:[*-]|\d+\.) `)
	// sentenceEnd is the end of a sentence, a paragraph or an item of a list.
	sentenceEnd = regexp.MustCompile(`[.!?](?:[)*"]*)(?:\s|$)|\n\s*\n`)
)

// sentences are those of a page; code in a sentence counts as one word.
func sentences(page string) []string {
	page = codeBlock.ReplaceAllString(page, "")
	page = noSentence.ReplaceAllString(page, "\n")
	page = linkTarget.ReplaceAllString(page, "]")
	page = inlineCode.ReplaceAllString(page, "code")
	page = listItem.ReplaceAllString(page, "\n\n")
	var all []string
	for _, s := range sentenceEnd.Split(page, -1) {
		if len(strings.Fields(s)) > 1 {
			all = append(all, strings.Join(strings.Fields(s), " "))
		}
	}
	return all
}

// TestSentences: the sentences of the pages are short, on average.
func TestSentences(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, path := range append(pages, "README.md", "CONTRIBUTING.md", "SECURITY.md") {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all, words, longest := sentences(string(page)), 0, ""
		for _, s := range all {
			n := len(strings.Fields(s))
			words += n
			if n > len(strings.Fields(longest)) {
				longest = s
			}
		}
		t.Logf("%s: %d sentences, %.1f words; longest %d: %s", path, len(all), float64(words)/float64(len(all)), len(strings.Fields(longest)), longest)
		if words > mostWords*len(all) {
			t.Errorf("%s: sentences of %.1f words on average, at most %d; the longest is %q", path, float64(words)/float64(len(all)), mostWords, longest)
		}
	}
}

// TestSentenceEnds: what counts as a sentence.
func TestSentenceEnds(t *testing.T) {
	page := "# A heading\n\nOne sentence, with `some code. in it`. Another [of two](a.md) lines\nends here!\n\n" +
		"* an item\n  of a list\n* another item\n\n| a | table. of words |\n\n    code. that is indented\n\n```\ncode. in a block\n```\nThe end: it is 1.5 m away; not more?\n"
	want := []string{"One sentence, with code", "Another [of two] lines ends here", "an item of a list", "another item", "The end: it is 1.5 m away; not more"}
	if d := cmp.Diff(want, sentences(page)); d != "" {
		t.Error(d)
	}
}
