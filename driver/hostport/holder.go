package hostport

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gangway-net/gangway/driver/procfile"
	"github.com/gangway-net/gangway/driver/spec"
	"github.com/gangway-net/gangway/printable"
)

// findHolder names the process that holds a port that k cannot be bound
// beside, such as "nginx (pid 12)". It is empty if no process is found: /proc
// shows only those of the daemon's own pid namespace.
func findHolder(ctx context.Context, k key) string {
	if k.proto == spec.SCTP {
		return ""
	}
	tables := []string{k.proto.String(), k.proto.String() + "6"}
	for _, table := range tables {
		f, err := os.Open("/proc/thread-self/net/" + table)
		if err != nil {
			continue
		}
		inode := findInode(f, k)
		_ = f.Close()
		if inode != 0 {
			return processOf(ctx, inode)
		}
	}
	return ""
}

// findInode reads a table of /proc/net (tcp, tcp6, udp, udp6) for the inode of
// a socket that holds k's port in an address that overlaps k's, 0 if there is
// none. A listening socket is preferred: others may share the port with it.
func findInode(table io.Reader, k key) uint64 {
	const listen = "0A"
	var found uint64
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		local, state, inode, ok := parseSocketLine(lines.Text())
		if !ok || local.Port() != k.port || inode == 0 || !holds(local.Addr(), k.ip) {
			continue
		}
		if state == listen {
			return inode
		}
		if found == 0 {
			found = inode
		}
	}
	return found
}

// holds says whether a socket bound to local keeps others from host. Unlike
// the sockets of this package, those of others may take both families on [::].
func holds(local, host netip.Addr) bool {
	if local.Is6() && local.IsUnspecified() {
		return true
	}
	return overlap(local.Unmap(), host)
}

// parseSocketLine reads local address, state and inode of one line.
func parseSocketLine(line string) (local netip.AddrPort, state string, inode uint64, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return local, "", 0, false
	}
	addr, port, found := strings.Cut(fields[1], ":")
	p, err := strconv.ParseUint(port, 16, 16)
	if !found || err != nil {
		return local, "", 0, false
	}
	raw, err := hex.DecodeString(addr)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return local, "", 0, false
	}
	// The kernel prints words of 32 bits in its own byte order.
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	ip, _ := netip.AddrFromSlice(raw)
	inode, err = strconv.ParseUint(fields[9], 10, 64)
	return netip.AddrPortFrom(ip, uint16(p)), fields[3], inode, err == nil
}

// processOf names the process that has a socket open. A process chooses its name.
func processOf(ctx context.Context, inode uint64) string {
	want := fmt.Sprintf("socket:[%d]", inode)
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return ""
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if ctx.Err() != nil {
			return ""
		}
		if hasOpen(pid, want) {
			comm, _ := procfile.Read(fmt.Sprintf("/proc/%d/comm", pid))
			name := printable.Word(strings.TrimSuffix(string(comm), "\n"))
			return fmt.Sprintf("%s (pid %d)", name, pid)
		}
	}
	return ""
}

func hasOpen(pid int, want string) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	f, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	names, _ := f.Readdirnames(-1)
	for _, n := range names {
		if link, err := os.Readlink(filepath.Join(dir, n)); err == nil && link == want {
			return true
		}
	}
	return false
}
