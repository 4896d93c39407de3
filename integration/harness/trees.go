package harness

import (
	_ "embed"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gangway-net/gangway/integration/testkit"
)

//go:embed engines.sh
var enginesScript string

// Suite is a Debian suite, named for the engine it packages.
type Suite string

// The suites and their engines: 20.10, 26.1 and 28.5.
const (
	Bookworm Suite = "bookworm"
	Trixie   Suite = "trixie"
	Forky    Suite = "forky"
)

// Suites returns all suites, oldest engine first.
func Suites() []Suite { return []Suite{Bookworm, Trixie, Forky} }

// tree returns the folder of a root tree of the suite, made first if it is
// missing: the one with the managers of a host's firewall, or the one without.
func (s Suite) tree(t testing.TB, managers bool) string {
	t.Helper()
	if managers {
		s += "+managers"
	}
	script := exec.Command("sh", "-s", string(s))
	script.Stdin = strings.NewReader(enginesScript)
	if out, err := script.CombinedOutput(); err != nil {
		testkit.Missing(t, fmt.Sprintf("root tree of %s: %v\n%s", s, err, out))
	}
	return filepath.Join(cacheDir(), "engines", string(s))
}
