package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// aliasOf is the second name of a socket: an engine that looks for a driver NAME:latest
// and has no managed plugin of that name looks for the socket NAME:latest.sock. So the
// driver has both names, whichever way it was installed. It is empty for a socket that
// has a tag in its name, or no name that an engine looks for.
//
// It is a symbolic link: the engine follows one, and lists none as a driver of its own.
func aliasOf(path string) string {
	name, ok := strings.CutSuffix(filepath.Base(path), ".sock")
	if !ok || name == "" || strings.Contains(name, ":") {
		return ""
	}
	return filepath.Join(filepath.Dir(path), name+":latest.sock")
}

// makeAlias gives the socket its second name. The caller holds the folder's lock, and
// the first name is its own: so is what an earlier daemon left of the second.
func makeAlias(path string) error {
	alias := aliasOf(path)
	if alias == "" || isAlias(path) {
		return nil
	}
	err := os.Symlink(filepath.Base(path), alias)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is not a link to %s: remove it or choose another socket", alias, path)
	}
	if err != nil {
		return fmt.Errorf("give socket %s a second name: %w", path, err)
	}
	return nil
}

// removeAlias takes the second name away, if it is the socket's. The caller holds the
// folder's lock.
func removeAlias(path string) error {
	if !isAlias(path) {
		return nil
	}
	if err := os.Remove(aliasOf(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket's second name: %w", err)
	}
	return nil
}

// isAlias says whether the second name leads to the socket.
func isAlias(path string) bool {
	alias := aliasOf(path)
	if alias == "" {
		return false
	}
	to, err := os.Readlink(alias)
	return err == nil && to == filepath.Base(path)
}
