package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gangway-net/gangway/driver/procfile"
)

// sysctls reads and writes the sysctl tree. Settings are named by their path
// under it, as in "net/ipv4/ip_forward", a form that sysctl(8) knows as well:
// in the form with dots a link named "eth0.1" would be two path components.
type sysctls struct{ root string }

// roots are tried in order: the managed plugin sees the host's tree under
// /host, because its own /proc/sys is read-only.
var roots = [...]string{"/host/proc/sys", "/proc/sys"}

func newSysctls(root string) sysctls {
	for i := 0; root == "" && i < len(roots); i++ {
		if _, err := os.Stat(filepath.Join(roots[i], "net")); err == nil {
			root = roots[i]
		}
	}
	if root == "" {
		root = roots[len(roots)-1]
	}
	return sysctls{root: root}
}

// has says whether the setting or folder exists.
func (s sysctls) has(name string) bool {
	_, err := os.Stat(filepath.Join(s.root, name))
	return err == nil
}

// ipv6 says whether the kernel has IPv6 at all.
func (s sysctls) ipv6() bool { return s.has("net/ipv6/conf") }

// any says whether the setting is on for any of the links whose folders are in a folder.
// One that goes meanwhile has nothing on.
func (s sysctls) any(folder, setting string) bool {
	links, err := os.ReadDir(filepath.Join(s.root, folder))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(links, func(l os.DirEntry) bool {
		value, err := s.get(filepath.Join(folder, l.Name(), setting))
		return err == nil && value != "0"
	})
}

func (s sysctls) get(name string) (string, error) {
	value, err := procfile.Read(filepath.Join(s.root, name))
	if err != nil {
		return "", fmt.Errorf("read sysctl %s: %w", name, err)
	}
	return strings.TrimSpace(string(value)), nil
}

// set writes a setting. The file is never created: a missing one is an error.
func (s sysctls) set(name, value string) error {
	f, err := os.OpenFile(filepath.Join(s.root, name), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		err = errors.Join(err, f.Close())
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("set sysctl %s to %s: the kernel does not have it: %w", name, value, err)
	}
	return fmt.Errorf("set sysctl %s to %s: %w; set it on the host with `sysctl -w %s=%s`, or give gangway write access to %s",
		name, value, err, name, value, s.root)
}
