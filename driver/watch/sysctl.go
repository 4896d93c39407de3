package watch

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// roots are tried in order, as package link does: what it writes to is what has
// to be watched.
var roots = [...]string{"/host/proc/sys", "/proc/sys"}

// tree watches folders of the sysctl tree, for one goroutine. A nil tree
// watches nothing.
type tree struct {
	root   string
	events *os.File
	// watches are the ones of each link's folders.
	watches map[int32][]uint32
}

func newTree(root string) (*tree, error) {
	for i := 0; root == "" && i < len(roots); i++ {
		if _, err := os.Stat(filepath.Join(roots[i], "net")); err == nil {
			root = roots[i]
		}
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch sysctls: %w", err)
	}
	t := &tree{root: root, events: os.NewFile(uintptr(fd), "inotify"), watches: map[int32][]uint32{}}
	for _, dir := range []string{"net/ipv4", "net/ipv4/conf/all", "net/ipv6/conf/all", "net/bridge"} {
		t.watch(dir)
	}
	return t, nil
}

// watch watches a folder; it may well be missing (no IPv6, no br_netfilter).
func (t *tree) watch(dir string) (id uint32, ok bool) {
	raw, err := t.events.SyscallConn()
	if err != nil {
		return 0, false
	}
	closed := raw.Control(func(fd uintptr) {
		var wd int
		wd, err = unix.InotifyAddWatch(int(fd), filepath.Join(t.root, dir), unix.IN_MODIFY|unix.IN_ONLYDIR)
		id = uint32(wd)
	})
	return id, err == nil && closed == nil
}

// follow watches a link's folders.
func (t *tree) follow(index int32, name string) {
	if t == nil {
		return
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		if id, ok := t.watch(filepath.Join("net", family, "conf", name)); ok {
			t.watches[index] = append(t.watches[index], id)
		}
	}
}

// forget gives up the folders of a link that is gone or has another name: a
// watch keeps what it watches in the kernel's memory.
func (t *tree) forget(index int32) {
	if t == nil {
		return
	}
	raw, err := t.events.SyscallConn()
	if err != nil {
		return
	}
	for _, id := range t.watches[index] {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), id) })
	}
	delete(t.watches, index)
}
