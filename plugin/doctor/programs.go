package doctor

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// lookAtFilters reads the rules of iptables, of both kinds, and of nftables, with the
// programs that the host has: they know every match of their own.
func (f *Facts) lookAtFilters(ctx context.Context) {
	read := map[string]bool{}
	for _, six := range []bool{false, true} {
		kinds := 0
		for _, kind := range []string{"-nft", "-legacy", ""} {
			if kind == "" && kinds > 0 {
				continue // it is one of the two
			}
			if f.lookAtIPTables(ctx, kind, six, read) {
				kinds++
			}
		}
	}
	text, err := output(ctx, "nft", "-j", "list", "ruleset")
	if errors.Is(err, exec.ErrNotFound) {
		err = errors.New("the program nft is not installed")
	}
	if err == nil {
		var bases []Base
		bases, err = parseNft(text, read)
		f.Filters = append(f.Filters, bases...)
	}
	if err != nil {
		f.note("tables of nftables", err)
	}
}

// lookAtIPTables reads the rules of one kind of iptables, and notes in read which tables of
// nf_tables these were, by "family table". It says whether there is such a program.
func (f *Facts) lookAtIPTables(ctx context.Context, kind string, six bool, read map[string]bool) bool {
	program, family := "iptables", "ip"
	if six {
		program, family = "ip6tables", "ip6"
	}
	text, err := output(ctx, program+kind+"-save")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		if kind == "-legacy" && len(legacyTables("/proc/thread-self/net/"+family+"_tables_names")) > 0 {
			f.note("rules of "+program+kind, errors.New("that program is not installed"))
		}
		return false
	case err != nil:
		f.note("rules of "+program+kind, err)
		return true
	}
	f.Filters = append(f.Filters, parseSave(strings.TrimSuffix(program+kind, "-nft"), string(text), six)...)
	for line := range strings.Lines(string(text)) {
		if table, ok := strings.CutPrefix(strings.TrimSpace(line), "*"); ok && kind != "-legacy" {
			read[family+" "+table] = true
		}
	}
	return true
}

func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(string(failed.Stderr)))
	}
	return out, err
}
