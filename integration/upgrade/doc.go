// Package upgrade shows that today's gangway goes on where an earlier version
// ended. It holds tests only.
//
// Each folder of testdata is what one version left: its state files, the links
// and rules in the kernel, and the calls that led there. It was made by that
// version's own program and is never written again:
//
//	go test ./integration/upgrade -run TestKeep -keep v1.2.3 [-program PATH]
//
// keeps one of the program at PATH, or of today's.
package upgrade
