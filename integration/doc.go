// Package integration proves what gangway promises on real engines: its tests
// start the engines of three Debian releases (20.10, 26.1, 28.5) with package
// harness, with gangway beside them as a plain daemon and inside them as a
// managed plugin, and look at what arrives and at what is left in the kernel.
//
//	go test ./integration/                                    all engines, as root
//	go test ./integration/ -run 'TestDaemon/trixie/ports'     one scenario on one engine
//	GANGWAY_TEST_DRIVER=bridge go test ./integration/         the engine's own driver instead
//
// Invariant: every scenario leaves the engine's host as it found it, and fails
// if it does not. The package tests from outside only: it imports nothing of
// gangway but the harness.
package integration
