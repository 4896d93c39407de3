package support

import (
	"bytes"
	"regexp"
)

// masked stands for what is left out.
const masked = "***"

// masker leaves out what looks like a secret in texts of others: rules and logs do not ask us
// what is in them.
type masker struct {
	// hints are in lower case; a line without any of them has nothing to leave out.
	hints    []string
	patterns []*regexp.Regexp
	key      *regexp.Regexp
}

func newMasker() masker {
	const name = `(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|private[_-]?key|credential)`
	return masker{
		hints: []string{"passw", "passphrase", "secret", "token", "key", "credential", "://", "bearer", "basic"},
		patterns: []*regexp.Regexp{
			// NAME=value, "name": "value", name: value
			regexp.MustCompile(`(?i)(` + name + `[a-z0-9_.-]*\\?["']?\s?[=:]\s?\\?["']?)[^\s"'\\,;]+`),
			// --name value
			regexp.MustCompile(`(?i)(--[a-z0-9-]*` + name + `[a-z0-9-]* )[^\s"']+`),
			// scheme://user:value@host
			regexp.MustCompile(`([a-zA-Z]://)[^/\s:@"']*:[^/\s@"']+(@)`),
			// Authorization: Bearer value
			regexp.MustCompile(`(?i)\b((?:bearer|basic) )[a-z0-9+/=._~-]{8,}`),
		},
		key: regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`),
	}
}

func (m masker) mask(text []byte) []byte {
	if bytes.Contains(text, []byte("PRIVATE KEY-----")) {
		text = m.key.ReplaceAll(text, []byte(masked))
	}
	out := make([]byte, 0, len(text))
	for line := range bytes.Lines(text) {
		if m.hinted(line) {
			for _, pattern := range m.patterns {
				line = pattern.ReplaceAll(line, []byte("${1}"+masked+"${2}"))
			}
		}
		out = append(out, line...)
	}
	return out
}

// hinted says whether a line may have a secret; most have none, and patterns take their time.
func (m masker) hinted(line []byte) bool {
	lower := bytes.ToLower(line)
	for _, h := range m.hints {
		if bytes.Contains(lower, []byte(h)) {
			return true
		}
	}
	return false
}
