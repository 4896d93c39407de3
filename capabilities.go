package main

import (
	"errors"
	"fmt"
	"slices"

	libcap "kernel.org/pub/linux/libs/security/libcap/cap"
)

// keptCapabilities returns the capabilities that the daemon works with, as far
// as it has them; the systemd unit and SECURITY.md explain each. Whose name a
// taken host port goes by takes two of them, which are of no use one by one.
func keptCapabilities(held func(libcap.Value) bool) (kept []libcap.Value) {
	for _, group := range [][]libcap.Value{
		{libcap.NET_ADMIN}, {libcap.NET_RAW}, {libcap.NET_BIND_SERVICE}, {libcap.SYS_MODULE}, {libcap.BPF},
		{libcap.SYS_PTRACE, libcap.DAC_OVERRIDE},
	} {
		if !slices.ContainsFunc(group, func(c libcap.Value) bool { return !held(c) }) {
			kept = append(kept, group...)
		}
	}
	return kept
}

// dropCapabilities gives up, for good, what the process and the programs that it
// starts do not need. An engine gives every plugin a list that config.json can
// only make longer, and a daemon that is started by hand has all.
func dropCapabilities() error {
	had, err := libcap.GetPID(0)
	if err != nil {
		return fmt.Errorf("read the process's capabilities: %w", err)
	}
	held := func(c libcap.Value) bool {
		yes, unknown := had.GetFlag(libcap.Permitted, c)
		return yes && unknown == nil
	}
	kept := keptCapabilities(held)
	if held(libcap.SETPCAP) {
		for c := range libcap.MaxBits() {
			if slices.Contains(kept, c) {
				continue
			}
			if err = libcap.DropBound(c); err != nil {
				return fmt.Errorf("give up capability %s: %w", c, err)
			}
		}
	}
	has := libcap.NewSet()
	if err = errors.Join(has.SetFlag(libcap.Permitted, true, kept...), has.SetFlag(libcap.Effective, true, kept...)); err == nil {
		err = has.SetProc()
	}
	if err != nil {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
}
