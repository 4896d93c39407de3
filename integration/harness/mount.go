package harness

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// npmInside is where an engine's host has the tree with npm in it.
const npmInside = "/opt/npm"

// NPM gives the engine's host Debian's npm until the end of the test, and returns the mounts with
// which a container has it (docker run -v, volumes of a compose file). The libraries of the
// tree take the place of the image's, so that PATH has to begin with /usr/bin: the image's own
// programs may need newer ones.
func (e *Engine) NPM(t testing.TB) (volumes []string) {
	t.Helper()
	e.mount(t, (Bookworm+"+npm").tree(t, false), npmInside)
	for _, dir := range []string{"/usr", "/lib", "/lib64"} {
		from := npmInside + "/usr" + dir
		if dir == "/usr" {
			from = npmInside + dir
		}
		volumes = append(volumes, from+":"+dir+":ro")
	}
	return volumes
}

// mount shows a folder of the machine to the node until the end of the test. The node's root is
// another one, so the mount is made here, as one that nobody sees, and moved there.
func (n *Node) mount(t testing.TB, folder, inside string) {
	t.Helper()
	tree, err := unix.OpenTree(unix.AT_FDCWD, folder, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		t.Fatalf("open_tree %s: %v", folder, err)
	}
	defer unix.Close(tree) //nolint:errcheck // the mount is elsewhere by then
	err = n.inMounts(func() error {
		if failed := os.MkdirAll(inside, 0o755); failed != nil {
			return failed
		}
		return os.NewSyscallError("move_mount", unix.MoveMount(tree, "", unix.AT_FDCWD, inside, unix.MOVE_MOUNT_F_EMPTY_PATH))
	})
	if err != nil {
		t.Fatal(fmt.Errorf("show %s at %s: %w", folder, inside, err))
	}
	t.Cleanup(func() {
		if err := n.inMounts(func() error { return unix.Unmount(inside, unix.MNT_DETACH) }); err != nil {
			t.Errorf("take %s away: %v", inside, err)
		}
	})
}
