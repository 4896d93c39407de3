package harness

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/testkit"
)

// Main runs a package's tests. Call it from TestMain: the test binary is also
// the first process of every host and engine, and Main is where it learns what
// it is.
func Main(m *testing.M) {
	if os.Getenv(nodeEnv) != "" {
		if err := nodeMain(); err != nil {
			fmt.Fprintln(os.Stderr, "harness: set up node:", err)
			os.Exit(1)
		}
	}
	code := m.Run()
	if err := closeRun(); err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Eventually polls f every 50 ms until it returns nil, and fails the test with
// its last error when patience is over.
func Eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	EventuallyWithin(t, testkit.Patience, what, f)
}

// EventuallyWithin is Eventually for what may take longer than any patience.
func EventuallyWithin(t testing.TB, limit time.Duration, what string, f func() error) {
	t.Helper()
	if err := poll(limit, f); err != nil {
		t.Fatalf("%s: not within %s: %v", what, limit, err)
	}
}

func poll(limit time.Duration, f func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}
