// Package harness runs real Docker engines of several versions side by side,
// each in namespaces of its own, with hosts around it to talk to, and shows
// what the engine and its plugins left in the kernel.
//
//	func TestMain(m *testing.M) { harness.Main(m) }
//
//	func TestPing(t *testing.T) {
//		e := harness.Start(t, harness.Config{Suite: harness.Trixie, Driver: harness.Builtin})
//		e.Docker(t, "network", "create", "-d", e.Driver, "n1")
//		e.Serve(t, harness.Container{Name: "c1", Network: "n1"}, "tcp", "0.0.0.0:80")
//		e.Host.Get(t, "tcp", e.Address(t, "c1", "n1")+":80")
//	}
//
// Invariant: whatever happens to the test process, nothing stays on the
// machine. Every engine and every host is a PID namespace that ends with its
// first process, which ends with the test process's end of a pipe; namespaces,
// mounts and links end with the last process; cgroups and folders are removed
// by Cleanup, or by the next run when a run was killed.
//
// The package never touches the machine's own links, rules, sysctls or mounts,
// never modifies the cached root trees, and never talks to an engine it did not
// start. It needs root and Linux namespaces, cgroup v1 or v2, and overlayfs.
package harness
