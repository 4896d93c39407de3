package graph

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/plugin"
)

// Measures of the picture, in pixels.
const (
	boxWidth   = 380
	gap        = 20
	headHeight = 54
	rowHeight  = 34
	portHeight = 17
	rowGap     = 8
	padding    = 14
	// indent is from the box to its containers: there is the bridge.
	indent = 40
	// wide and small are what a character of 13 and of 11 pixels takes, in wide fonts. A
	// text of only the widest is cut at the edge of its box.
	wide  = 9.0
	small = 6.8
)

// style has the colours, for light and dark.
const style = `text{font:11px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:#57606a;unicode-bidi:isolate}
.name{font:600 13px system-ui,"DejaVu Sans",sans-serif;fill:#1f2328}.page{fill:#f6f7f9}.net{fill:#fff;stroke:#d0d7de}.box{fill:#f6f8fa;stroke:#d0d7de}.wire{stroke:#8c959f;stroke-width:2;fill:none}.port{fill:#0a5dc2}
@media(prefers-color-scheme:dark){text{fill:#9aa4af}.name{fill:#e6e9ed}.page{fill:#0f1216}.net{fill:#171b21;stroke:#303842}.box{fill:#1d232b;stroke:#303842}.wire{stroke:#6e7781}.port{fill:#6cb0f5}}`

// SVG writes a picture that holds all it needs.
func SVG(w io.Writer, g plugin.Graph) error {
	all := boxes(g)
	d := drawing{}
	tops := make([]int, columns(len(all)))
	for i := range tops {
		tops[i] = gap
	}
	for _, n := range all {
		at := shortest(tops)
		d.network(gap+at*(boxWidth+gap), tops[at], n)
		tops[at] += n.height() + gap
	}
	width, height := gap+len(tops)*(boxWidth+gap), gap
	for _, t := range tops {
		height = max(height, t)
	}
	if len(all) == 0 {
		height += headHeight
		d.text(gap, gap+headHeight/2, "name", "No networks", boxWidth)
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img" aria-label="Networks, containers and published ports">
<style>%[3]s</style>
<rect class="page" width="%[1]d" height="%[2]d"/>
%[4]s</svg>
`, width, height, style, d.String())
	return err
}

// columns is how many there are for so many networks.
func columns(networks int) int {
	switch {
	case networks <= 1:
		return 1
	case networks <= 8:
		return 2
	case networks <= 24:
		return 3
	}
	return 4
}

func shortest(tops []int) (at int) {
	for i, t := range tops {
		if t < tops[at] {
			at = i
		}
	}
	return at
}

func (b box) height() int {
	height := headHeight + padding - rowGap
	for _, p := range b.places {
		height += p.height() + rowGap
	}
	if len(b.places) == 0 {
		height = headHeight + padding
	}
	return height
}

func (p place) height() int {
	height := rowHeight + max(0, len(p.Addresses)-1)*portHeight
	for _, run := range p.ports {
		height += len(run.lines()) * portHeight
	}
	if p.policy() != "" {
		height += portHeight
	}
	return height
}

// lines are a run of ports as it is drawn: more than one address has a line each.
func (p port) lines() (all []string) {
	for _, at := range strings.Fields(strings.TrimSuffix(p.at(), "/"+p.Protocol)) {
		all = append(all, strings.TrimRight(fmt.Sprintf("%s → %s/%s %s", at, p.to(), p.Protocol, p.way()), " "))
	}
	return all
}

type drawing struct{ strings.Builder }

// add adds a line, or some.
func (d *drawing) add(format string, args ...any) { _, _ = fmt.Fprintf(d, format, args...) }

// network draws a network with its containers, hanging from its bridge.
func (d *drawing) network(x, y int, b box) {
	d.open("net", x, y, boxWidth, b.height())
	d.text(padding, 24, "name", b.title(), boxWidth-2*padding)
	d.text(padding, 42, "", b.about(), boxWidth-2*padding)
	const spine = padding + 8
	top, end := headHeight, 0
	for _, p := range b.places {
		end = top + rowHeight/2
		d.add(`<path class="wire" d="M%d %dH%d"/>`+"\n", spine, end, indent)
		d.place(indent, top, p)
		top += p.height() + rowGap
	}
	if end > 0 {
		d.add(`<path class="wire" d="M%d %dV%d"/>`+"\n", spine, headHeight-4, end+1)
	}
	d.close()
}

func (d *drawing) place(x, y int, p place) {
	const width = boxWidth - indent - padding
	d.open("box", x, y, width, p.height())
	room := width - 20
	for i, a := range p.addresses() {
		d.add(`<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", width-10, 21+i*portHeight, escape(a))
		if i == 0 {
			room -= int(float64(len(a))*small) + 10
		}
	}
	d.text(10, 21, "name", p.title(), room)
	line := 21 + max(0, len(p.Addresses)-1)*portHeight
	for _, run := range p.ports {
		for _, text := range run.lines() {
			line += portHeight
			d.text(10, line, "port", text, width-20)
		}
	}
	if mark := p.policy(); mark != "" {
		d.text(10, line+portHeight, "", mark, width-20)
	}
	d.close()
}

// open begins a box. It is a picture of its own: what does not fit into it is cut.
func (d *drawing) open(class string, x, y, width, height int) {
	d.add(`<svg x="%d" y="%d" width="%d" height="%d">`+"\n", x, y, width, height)
	d.add(`<rect class="%s" x=".5" y=".5" width="%d" height="%d" rx="6"/>`+"\n", class, width-1, height-1)
}

func (d *drawing) close() { d.WriteString("</svg>\n") }

// text draws what fits into so many pixels. The whole of it is what a pointer shows.
func (d *drawing) text(x, y int, class, text string, room int) {
	each := small
	if class == "name" {
		each = wide
	}
	shown := fitted(text, float64(room)/each)
	attributes := ""
	if class != "" {
		attributes = ` class="` + class + `"`
	}
	title := ""
	if shown != text {
		title = "<title>" + escape(text) + "</title>"
	}
	d.add(`<text x="%s" y="%s"%s>%s%s</text>`+"\n", strconv.Itoa(x), strconv.Itoa(y), attributes, title, escape(shown))
}

// fitted cuts text to so many columns. What is not Latin, Greek or Cyrillic may take two.
func fitted(text string, columns float64) string {
	used := 0.0
	at := 0
	for i, r := range text {
		used++
		if r >= 0x1100 {
			used++
		}
		if used <= columns-1 {
			at = i + len(string(r))
		}
	}
	if used <= columns {
		return text
	}
	return text[:at] + "…"
}

// escape makes text fit for XML.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
