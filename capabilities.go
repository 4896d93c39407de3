package main

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keptCapabilities returns the capabilities that the daemon works with, as far
// as it has them; the systemd unit and SECURITY.md explain each. Whose name a
// taken host port goes by takes two of them, which are of no use one by one.
func keptCapabilities(held uint64) uint64 {
	naming := bit(unix.CAP_SYS_PTRACE) | bit(unix.CAP_DAC_OVERRIDE)
	kept := held & (bit(unix.CAP_NET_ADMIN) | bit(unix.CAP_NET_RAW) | bit(unix.CAP_NET_BIND_SERVICE) | bit(unix.CAP_SYS_MODULE) | bit(unix.CAP_BPF))
	if held&naming == naming {
		kept |= naming
	}
	return kept
}

func bit(capability int) uint64 { return 1 << capability }

// dropCapabilities gives up, for good, what the process and the programs that it
// starts do not need. An engine gives every plugin a list that config.json can
// only make longer, and a daemon that is started by hand has all.
func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var words [2]unix.CapUserData
	if err := unix.Capget(&header, &words[0]); err != nil {
		return fmt.Errorf("read the process's capabilities: %w", err)
	}
	held := uint64(words[1].Permitted)<<32 | uint64(words[0].Permitted)
	kept := keptCapabilities(held)
	if held&bit(unix.CAP_SETPCAP) != 0 {
		if err := bound(kept); err != nil {
			return err
		}
	}
	for i := range words {
		part := uint32(kept >> (32 * i))
		words[i] = unix.CapUserData{Effective: part, Permitted: part}
	}
	// Each thread has its own. With cgo the runtime does not know all of them.
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&words)), 0)
	if errno != 0 {
		return fmt.Errorf("give up capabilities: %w", errno)
	}
	return nil
}

// bound limits what programs started from now on can have.
func bound(kept uint64) error {
	for c := range 64 {
		if kept&bit(c) != 0 {
			continue
		}
		_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0)
		if errors.Is(errno, unix.EINVAL) {
			return nil // the kernel's last one was before
		}
		if errno != 0 {
			return fmt.Errorf("give up capability %d: %w", c, errno)
		}
	}
	return nil
}
