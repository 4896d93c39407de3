package watch

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/spec"
)

// roots are tried in order, as package link does: what it writes to is what has
// to be watched.
var roots = [...]string{"/host/proc/sys", "/proc/sys"}

// tree watches folders of the sysctl tree: those of links for one goroutine, while
// another one reads what happens. A nil tree watches nothing.
type tree struct {
	root   string
	events *os.File
	// mu guards what follows. It is held while a watch is made, so that it is
	// known whose it is before anything that it tells is read.
	mu sync.Mutex
	// watches are the ones of each link's folders, names the links by watch.
	watches map[int32][]uint32
	names   map[uint32]string
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
	t := &tree{root: root, events: os.NewFile(uintptr(fd), "inotify"), watches: map[int32][]uint32{}, names: map[uint32]string{}}
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

// follow watches a link's folders, those that it does not watch yet.
func (t *tree) follow(index int32, name string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, family := range []string{"ipv4", "ipv6"} {
		if id, ok := t.watch(filepath.Join("net", family, "conf", name)); ok && t.names[id] == "" {
			t.watches[index] = append(t.watches[index], id)
			t.names[id] = name
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
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range t.watches[index] {
		delete(t.names, id)
		_ = raw.Control(func(fd uintptr) { _, _ = unix.InotifyRmWatch(int(fd), id) })
	}
	delete(t.watches, index)
}

// see takes what was read, and returns the links whose settings changed. What is
// no link's own, such as a setting of all, or more than the queue holds, is about
// all of them. That a watch has ended is no change: what ended it tells.
func (t *tree) see(b []byte) (about spec.Scope) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(b) >= unix.SizeofInotifyEvent {
		// struct inotify_event: wd, mask, cookie, len.
		id, mask := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:])
		size := unix.SizeofInotifyEvent + uint64(binary.NativeEndian.Uint32(b[12:]))
		b = b[min(size, uint64(len(b))):]
		if mask&unix.IN_IGNORED != 0 {
			continue
		}
		name := t.names[id]
		about.Add(name)
		about.All = about.All || name == ""
	}
	return about
}
