package watch

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Parts of a filter: what kind a message is, and what becomes of it.
var (
	loadKind = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 4} // nlmsg_type
	pass     = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0xffff_ffff}
	drop     = unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
)

// onKind goes on after yes or no more parts, if a message is of the kind or not.
func onKind(kind uint16, yes, no uint8) unix.SockFilter {
	k := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, kind))
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(k), Jt: yes, Jf: no}
}

// onlyGenerations passes nothing but the ends of transactions: each element of one is
// told as well, and thousands of them would overflow the queue.
func onlyGenerations() []unix.SockFilter {
	return []unix.SockFilter{loadKind, onKind(newGeneration, 0, 1), pass, drop}
}

// onlySomeRoutes passes, of routes, only what changes of default routes and of their
// halves, and the loss of those that the kernel made for an address: a router's own come
// and go by the hundred thousand.
func onlySomeRoutes() []unix.SockFilter {
	const length, protocol = unix.SizeofNlMsghdr + 1, unix.SizeofNlMsghdr + 5 // rtm_dst_len, rtm_protocol
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: at}
	}
	longer := func(than uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, K: than, Jt: yes, Jf: no}
	}
	return []unix.SockFilter{
		loadKind,
		onKind(unix.RTM_NEWROUTE, 0, 2),
		load(length),
		longer(1, 6, 5),
		onKind(unix.RTM_DELROUTE, 0, 4),
		load(length),
		longer(1, 0, 2),
		load(protocol),
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.RTPROT_KERNEL, Jf: 1},
		pass,
		drop,
	}
}

// attach has the kernel queue only what a filter passes.
func attach(f *os.File, filter []unix.SockFilter) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	})
	if err == nil && set != nil {
		err = fmt.Errorf("attach a filter to a netlink socket: %w", set)
	}
	return err
}
