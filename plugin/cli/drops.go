package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/driver"
)

// dropped shows how many packets were refused.
func dropped(d driver.Drops) string { return strconv.FormatUint(d.Total(), 10) }

// droppedLine says why as well, what happened most first.
func droppedLine(d driver.Drops) string {
	line := count(d.Total(), "packet")
	var parts []string
	for _, r := range d.Reasons() {
		parts = append(parts, fmt.Sprintf("%d %s", d[r], r))
	}
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, ", ")
	}
	return line
}
