package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strings"
)

// assets are the parts of the page. They need no build step: what is there is what a
// browser gets.
//
//go:embed assets
var assets embed.FS

// scripts are in the order in which they run.
func scripts() []string {
	return []string{"dom", "text", "model", "wire", "map", "details", "activity", "keys", "live", "main"}
}

// document is the page as it is sent: one text, so that its parts are always of one version.
type document struct {
	text   []byte
	policy string
}

func newDocument() document {
	var script strings.Builder
	script.WriteString("\n\"use strict\";\n{\n")
	for _, name := range scripts() {
		script.WriteString(asset(name + ".js"))
	}
	script.WriteString("}\n")
	style := "\n" + asset("page.css")
	text := strings.NewReplacer("<!-- style -->", "<style>"+style+"</style>", "<!-- script -->", "<script>"+script.String()+"</script>").Replace(asset("page.html"))
	return document{text: []byte(text), policy: strings.Join([]string{
		"default-src 'none'",
		"script-src " + hash(script.String()),
		"style-src " + hash(style),
		"connect-src 'self'",
		"img-src data:", // the icon
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")}
}

// asset reads a part, which is there as the program was built with it.
func asset(name string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		return "/* " + err.Error() + " */" // TestDocument
	}
	return string(text)
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// headers are those of all answers.
func (d document) headers(h http.Header) {
	for name, value := range map[string]string{
		"Content-Security-Policy":      d.policy,
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Referrer-Policy":              "no-referrer",
		"Cache-Control":                "no-store",
		"Connection":                   "close",
	} {
		h.Set(name, value)
	}
}

func (d document) serve(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(d.text)
}
