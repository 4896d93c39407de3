package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/gangway-net/gangway/integration/testkit"
)

// traceTable asks the kernel to report the way of UDP packets, from before
// everything that gangway has.
const traceTable = `table inet trace {
	chain prerouting { type filter hook prerouting priority -500; meta l4proto udp meta nftrace set 1; }
	chain output { type filter hook output priority -500; meta l4proto udp meta nftrace set 1; }
}
`

// event is one step of one packet: a rule that matched, or a chain that ended.
type event struct {
	packet       uint32
	family       byte
	table, chain string
	handle       uint64
	kind         uint32
	verdict      int32
	mark         uint32
}

// tracer hears of the steps.
type tracer struct {
	t  *testing.T
	fd int
	// texts are the rules, by family, table, chain and handle.
	texts map[string]string
}

// trace starts a tracer in the namespace of the thread.
func (h *host) trace() *tracer {
	h.t.Helper()
	h.run(traceTable, "nft", "-f", "-")
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	h.ok(err)
	h.t.Cleanup(func() { _ = unix.Close(fd) })
	h.ok(unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTRACE - 1)}))
	return &tracer{t: h.t, fd: fd, texts: h.texts()}
}

// texts reads all rules with their handles. Those in tables of iptables are
// given as iptables writes them.
func (h *host) texts() map[string]string {
	h.t.Helper()
	saved := map[string][]string{}
	for family, tool := range map[string]string{"ip": "iptables", "ip6": "ip6tables"} {
		table := ""
		for line := range strings.Lines(h.run("", tool+"-nft-save")) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "*") {
				table = line[1:]
			} else if rule, is := strings.CutPrefix(line, "-A "); is {
				chain, _, _ := strings.Cut(rule, " ")
				at := family + " " + table + " " + chain
				saved[at] = append(saved[at], line)
			}
		}
	}
	texts := map[string]string{}
	table, chain, seen := "", "", 0
	for line := range strings.Lines(h.run("", "nft", "-a", "-s", "list", "ruleset")) {
		text, number, found := strings.Cut(strings.TrimSpace(line), " # handle ")
		words := strings.Fields(text)
		switch {
		case !found:
		case words[0] == "table":
			table = words[1] + " " + words[2]
		case words[0] == "chain":
			chain, seen = table+" "+words[1], 0
		case words[0] != "set" && words[0] != "map":
			if list := saved[chain]; seen < len(list) {
				text = list[seen]
			}
			texts[chain+" "+number] = text
			seen++
		}
	}
	return texts
}

// packets returns the steps of the packets that passed until now, in words, one
// list each. With dropped it waits until one was.
func (tr *tracer) packets(dropped bool) [][]string {
	tr.t.Helper()
	var all []event
	deadline := time.Now().Add(10 * time.Second)
	for {
		all = append(all, tr.drain()...)
		if !dropped || slices.ContainsFunc(all, event.drops) {
			break
		}
		if time.Now().After(deadline) {
			tr.t.Fatalf("no packet was dropped; seen: %+v", all)
		}
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(tr.fd), Events: unix.POLLIN}}, 100)
	}
	var order []uint32
	steps := map[uint32][]string{}
	marks := map[uint32]uint32{}
	for _, e := range all {
		if e.table == "trace" || e.kind == unix.NFT_TRACETYPE_RULE && e.handle == 0 {
			continue // the end of a chain where nothing matched comes twice
		}
		if _, known := steps[e.packet]; !known {
			order = append(order, e.packet)
		}
		steps[e.packet] = append(steps[e.packet], tr.words(e, marks[e.packet]))
		marks[e.packet] = e.mark
	}
	var out [][]string
	for _, id := range order {
		out = append(out, steps[id])
	}
	return out
}

// drain takes what is there.
func (tr *tracer) drain() []event {
	tr.t.Helper()
	var all []event
	buf := make([]byte, 1<<16)
	for {
		n, _, err := testkit.Receive(tr.fd, buf)
		if errors.Is(err, unix.EAGAIN) {
			return all
		}
		if err != nil {
			tr.t.Fatal(err)
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			tr.t.Fatal(err)
		}
		for _, m := range messages {
			if m.Header.Type&0xff == unix.NFT_MSG_TRACE {
				all = append(all, tr.parse(m.Data))
			}
		}
	}
}

// parse reads enum nft_trace_attributes (linux/netfilter/nf_tables.h).
func (tr *tracer) parse(data []byte) event {
	tr.t.Helper()
	e := event{family: data[0]}
	ad, err := netlink.NewAttributeDecoder(data[4:])
	if err != nil {
		tr.t.Fatal(err)
	}
	ad.ByteOrder = bigEndian
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_TRACE_TABLE:
			e.table = ad.String()
		case unix.NFTA_TRACE_CHAIN:
			e.chain = ad.String()
		case unix.NFTA_TRACE_RULE_HANDLE:
			e.handle = ad.Uint64()
		case unix.NFTA_TRACE_TYPE:
			e.kind = ad.Uint32()
		case unix.NFTA_TRACE_ID:
			e.packet = ad.Uint32()
		case unix.NFTA_TRACE_MARK:
			e.mark = ad.Uint32()
		case unix.NFTA_TRACE_VERDICT, unix.NFTA_TRACE_POLICY:
			if ad.Type() == unix.NFTA_TRACE_POLICY {
				e.verdict = int32(ad.Uint32())
				continue
			}
			ad.Nested(func(v *netlink.AttributeDecoder) error {
				for v.Next() {
					if v.Type() == unix.NFTA_VERDICT_CODE {
						e.verdict = int32(v.Uint32())
					}
				}
				return nil
			})
		}
	}
	if err := ad.Err(); err != nil {
		tr.t.Fatal(err)
	}
	return e
}

// nfDrop is NF_DROP.
const nfDrop = 0

// drops says whether the step is a packet's last.
func (e event) drops() bool {
	return e.kind != unix.NFT_TRACETYPE_RETURN && e.verdict == nfDrop
}

// words says where a step is, what matched there, and the packet's mark if the
// step before left another one.
func (tr *tracer) words(e event, before uint32) string {
	tr.t.Helper()
	at := map[byte]string{unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6"}[e.family] + " " + e.table + " " + e.chain
	what := ""
	switch e.kind {
	case unix.NFT_TRACETYPE_RULE:
		what = tr.texts[at+" "+strconv.FormatUint(e.handle, 10)]
		if what == "" {
			tr.t.Fatalf("unknown rule %d of %s", e.handle, at)
		}
	case unix.NFT_TRACETYPE_POLICY:
		what = map[bool]string{true: "policy drop", false: "policy accept"}[e.drops()]
	case unix.NFT_TRACETYPE_RETURN:
		what = "return"
	}
	words := at + " | " + what
	if e.mark != before {
		words += fmt.Sprintf(" | mark %#x", e.mark)
	}
	return words
}
