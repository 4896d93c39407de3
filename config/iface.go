package config

import (
	"fmt"
	"strings"
)

const (
	// maxIface is IFNAMSIZ without its final zero (linux/if.h).
	maxIface = 15
	// maxPrefix leaves room for the number that the engine appends.
	maxPrefix = 12
)

// bridgeName checks the name of a bridge; "" has gangway choose one.
func bridgeName(name string) error {
	switch {
	case name == "":
		return nil
	case len(name) > maxIface:
		return fmt.Errorf("has %d bytes: the kernel takes at most %d", len(name), maxIface)
	case name == "." || name == "..":
		return fmt.Errorf("is not an interface name")
	case name == "all" || name == "default":
		// /proc/sys/net/ipv4/conf has folders of these names, which set what
		// holds for every interface.
		return fmt.Errorf("is the kernel's name for the settings of other interfaces")
	}
	return ifaceBytes(name)
}

// ifacePrefix checks the prefix of the names of container interfaces.
func ifacePrefix(prefix string) error {
	if prefix == "" || len(prefix) > maxPrefix {
		return fmt.Errorf("has %d bytes: want 1 to %d, which leaves room for the number", len(prefix), maxPrefix)
	}
	return ifaceBytes(prefix)
}

// ifaceBytes allows less in a name than the kernel (dev_valid_name), which only
// refuses '/', ':' and white space: in rules a trailing '+' or '*' stands for
// any name, '!' and '-' at the start change the meaning, quotes and backslashes
// need escaping, and the kernel itself replaces "%d" by a number. Everything
// that goes without any of that is letters, digits and '.', '_', '-'.
func ifaceBytes(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for i := range len(name) {
		if strings.IndexByte(letters+"0123456789._-", name[i]) < 0 {
			return fmt.Errorf("contains %q: want letters, digits, '.', '_' and '-'", name[i:i+1])
		}
	}
	if name[0] == '-' {
		return fmt.Errorf("starts with '-'")
	}
	return nil
}
