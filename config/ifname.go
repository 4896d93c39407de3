package config

import (
	"fmt"
	"strings"
)

// maxIface is IFNAMSIZ without its final zero (linux/if.h).
const maxIface = 15

// linkName checks the name of a link of the host.
func linkName(name string) error {
	switch {
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
