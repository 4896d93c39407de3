package watch

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/driver/procfile"
	"github.com/gangway-net/gangway/printable"
)

// newGeneration is the message that ends every transaction of nftables.
const newGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN

// generation is one transaction: the thread that made it, as the host numbers
// it, and that thread's name, of at most 15 bytes.
type generation struct {
	pid  uint32
	name string
}

// generations reads the transactions that a datagram tells of.
func generations(b []byte) []generation {
	const header, procPid, procName = 4, 2, 3 // struct nfgenmsg, NFTA_GEN_PROC_*
	var all []generation
	for kind, m := range messages(b) {
		if kind != newGeneration || len(m) < header {
			continue
		}
		var g generation
		for kind, v := range attributes(m[header:]) {
			switch {
			case kind == procPid && len(v) >= 4:
				g.pid = binary.BigEndian.Uint32(v)
			case kind == procName:
				g.name = unix.ByteSliceToString(v)
			}
		}
		all = append(all, g)
	}
	return all
}

// author names who made a transaction, and says whether it was this process or
// a child of it. Where /proc does not know it (it has ended, or this is another
// PID namespace), a command that this process runs as well is taken for its own:
// better no name than a wrong one.
func author(g generation) (who string, own bool) {
	name, parent, err := process(g.pid)
	if err != nil || name != g.name {
		self, _, _ := process(uint32(os.Getpid()))
		return printable.Word(g.name), g.name == "" || g.name == self || strings.Contains(g.name, "tables")
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", g.pid)); err == nil || int(parent) == os.Getpid() {
		return "", true
	}
	who = fmt.Sprintf("%s (pid %d)", printable.Word(g.name), g.pid)
	if by, _, err := process(parent); err == nil && parent > 1 {
		who += " run by " + printable.Word(by)
	}
	return who, false
}

// process reads a process's name and parent.
func process(pid uint32) (name string, parent uint32, err error) {
	stat, err := procfile.Read(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, err
	}
	// "PID (NAME) STATE PPID ...": a name may hold anything.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndex(stat, []byte(") "))
	if open < 0 || end < open {
		return "", 0, fmt.Errorf("process %d: %q is no stat line", pid, stat)
	}
	fields := strings.Fields(string(stat[end+2:]))
	if len(fields) < 2 {
		return "", 0, fmt.Errorf("process %d: %q is no stat line", pid, stat)
	}
	ppid, err := strconv.ParseUint(fields[1], 10, 32)
	return string(stat[open+1 : end]), uint32(ppid), err
}
