package printable_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/gangway-net/gangway/printable"
)

func TestWordText(t *testing.T) {
	tests := []struct{ name, in, word, text string }{
		{"plain", "nginx (pid 12)", "nginx (pid 12)", "nginx (pid 12)"},
		{"letters", "größe 日本 ✓", "größe 日本 ✓", "größe 日本 ✓"},
		{"nothing", "", "", ""},
		{"escape", "a\x1b[2Jb", `a\x1b[2Jb`, `a\x1b[2Jb`},
		{"line", "a\nb", `a\nb`, "a\nb"},
		{"return", "a\r\tb\x00\x7f", `a\r\tb\x00\x7f`, "a\\r\tb\\x00\\x7f"},
		{"C1", "a\u009b2J", `a\u009b2J`, `a\u009b2J`},
		{"C1 as a byte", "a\x9b2J", `a\x9b2J`, `a\x9b2J`},
		{"direction", "a\u202eb\u2066c\u200f", `a\u202eb\u2066c\u200f`, `a\u202eb\u2066c\u200f`},
		{"format", "a\u200b\ufeff\u00ad", `a\u200b\ufeff\u00ad`, `a\u200b\ufeff\u00ad`},
		{"separators", "a\u2028\u2029\u00a0", `a\u2028\u2029\u00a0`, `a\u2028\u2029\u00a0`},
		{"tags", "a\U000e0041", `a\U000e0041`, `a\U000e0041`},
		{"broken", "a\xc3", `a\xc3`, `a\xc3`},
		{"the replacement itself", "a\ufffd", "a\ufffd", "a\ufffd"},
		{"quotes stay", `a"b\c`, `a"b\c`, `a"b\c`},
	}
	for _, tt := range tests {
		if got := printable.Word(tt.in); got != tt.word {
			t.Errorf("%s: Word gives %q, want %q", tt.name, got, tt.word)
		}
		if got := printable.Text(tt.in); got != tt.text {
			t.Errorf("%s: Text gives %q, want %q", tt.name, got, tt.text)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[2J\u009b\u202e\U000e0041\xff\n")
	f.Fuzz(func(t *testing.T, s string) {
		clean := func(what, out string) {
			if bad := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }); bad >= 0 || !utf8.ValidString(out) {
				t.Errorf("%s(%q) gives %q", what, s, out)
			}
		}
		clean("Word", printable.Word(s))
		clean("Text", printable.Text(s))
		if strings.ContainsAny(printable.Word(s), "\n\t") {
			t.Errorf("Word(%q) has a line break or a tab", s)
		}
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var before, after string
		out := printable.JSON(string(raw))
		clean("JSON", out)
		if err := json.Unmarshal(raw, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(out), &after); err != nil || before != after {
			t.Errorf("JSON(%s) gives %s, which means %q: %v", raw, out, after, err)
		}
	})
}
