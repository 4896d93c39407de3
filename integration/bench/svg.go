package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// chart is a plot of several lines over the same few sizes, which stand at
// equal distances, or of bars side by side.
type chart struct {
	title, x, y string
	ticks       []string
	series      []series
	// log makes the y axis logarithmic; values have to be positive then.
	log, bars bool
}

// series is one line; NaN is a value that was not measured.
type series struct {
	name   string
	values []float64
}

// The geometry of all charts, in pixels.
const (
	width, height            = 760, 400
	left, right, top, bottom = 70, 180, 40, 60
)

// colours are told apart with any kind of colour vision (Okabe and Ito).
var colours = []string{"#d55e00", "#0072b2", "#56b4e9", "#999999", "#009e73", "#cc79a7"}

// svg draws the chart.
func (c chart) svg() string {
	lo, hi := c.bounds()
	var out strings.Builder
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	fmt.Fprintf(&out, `<text x="%d" y="22" text-anchor="middle" font-size="15">%s</text>`+"\n", width/2, html.EscapeString(c.title))
	text(&out, left+(width-left-right)/2, height-12, "middle", c.x)
	text(&out, 16, top-8, "start", c.y)
	for _, v := range gridLines(lo, hi, c.log) {
		y := c.at(v, lo, hi)
		fmt.Fprintf(&out, `<path d="M%d %.1fH%d" stroke="#ddd"/>`+"\n", left, y, width-right)
		text(&out, left-6, int(y)+4, "end", number(v))
	}
	for i, tick := range c.ticks {
		text(&out, int(c.column(i)), height-bottom+18, "middle", tick)
	}
	for i, s := range c.series {
		colour := colours[i%len(colours)]
		if c.bars {
			c.drawBars(&out, i, colour, lo, hi)
		} else {
			c.drawLine(&out, s, colour, lo, hi)
		}
		y := top + 18*i
		fmt.Fprintf(&out, `<rect x="%d" y="%d" width="12" height="12" fill="%s"/>`+"\n", width-right+16, y, colour)
		text(&out, width-right+34, y+10, "start", s.name)
	}
	out.WriteString("</svg>\n")
	return out.String()
}

// text writes words at a place, of which the anchor says what part of them is
// there: start, middle or end.
func text(out *strings.Builder, x, y int, anchor, words string) {
	fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="%s">%s</text>`+"\n", x, y, anchor, html.EscapeString(words))
}

// bounds are the ends of the y axis.
func (c chart) bounds() (lo, hi float64) {
	lo, hi = math.Inf(1), 0
	for _, s := range c.series {
		for _, v := range s.values {
			if !math.IsNaN(v) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	switch {
	case hi == 0: // nothing to show
		return 1, 10
	case c.log:
		bottom := math.Pow(10, math.Floor(math.Log10(lo)))
		return bottom, max(bottom*10, math.Pow(10, math.Ceil(math.Log10(hi))))
	}
	return 0, hi * 1.05
}

// gridLines are the powers of ten, or four to eight round numbers.
func gridLines(lo, hi float64, log bool) []float64 {
	var out []float64
	if log {
		for v := lo; v <= hi*1.001; v *= 10 {
			out = append(out, v)
		}
		return out
	}
	step := math.Pow(10, math.Floor(math.Log10(hi)))
	for hi/step < 4 {
		step /= 2
	}
	for i := 0.0; i*step <= hi; i++ {
		out = append(out, i*step)
	}
	return out
}

// at is where a value is on the y axis.
func (c chart) at(v, lo, hi float64) float64 {
	share := (v - lo) / (hi - lo)
	if c.log {
		share = math.Log10(v/lo) / math.Log10(hi/lo)
	}
	return float64(height-bottom) - share*float64(height-top-bottom)
}

// column is the middle of the i-th tick on the x axis.
func (c chart) column(i int) float64 {
	return left + (float64(i)+0.5)*float64(width-left-right)/float64(len(c.ticks))
}

func (c chart) drawLine(out *strings.Builder, s series, colour string, lo, hi float64) {
	var path []string
	for i, v := range s.values {
		if math.IsNaN(v) {
			continue
		}
		x, y := c.column(i), c.at(v, lo, hi)
		path = append(path, fmt.Sprintf("%.1f %.1f", x, y))
		fmt.Fprintf(out, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x, y, colour)
	}
	if len(path) > 1 {
		fmt.Fprintf(out, `<path d="M%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(path, "L"), colour)
	}
}

func (c chart) drawBars(out *strings.Builder, nth int, colour string, lo, hi float64) {
	group := float64(width-left-right) / float64(len(c.ticks)) * 0.8
	wide := group / float64(len(c.series))
	for i, v := range c.series[nth].values {
		if math.IsNaN(v) {
			continue
		}
		x, y := c.column(i)-group/2+float64(nth)*wide, c.at(v, lo, hi)
		fmt.Fprintf(out, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, wide*0.9, float64(height-bottom)-y, colour)
	}
}
