package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// durableFile is what outlives everything. What ends with the boot of the host is
// beside it, in a file whose name has the kernel's boot_id between the other two.
const (
	durableFile = "gangway.db"
	bootPrefix  = "boot-"
	bootSuffix  = ".db"
)

// Files are the open state files of a folder. Their methods may be called
// concurrently.
type Files struct{ durable, boot *Store }

// OpenFiles opens the state files of a folder in the boot of the host that is called
// boot, as Open does, and removes those of other boots.
func OpenFiles(folder, boot string, timeout time.Duration) (*Files, error) {
	// The durable one comes first: who is about to end holds it until it has closed
	// the other.
	durable, err := Open(filepath.Join(folder, durableFile), timeout)
	if err != nil {
		return nil, err
	}
	f := &Files{durable: durable}
	if f.boot, err = openForBoot(folder, boot, timeout); err != nil {
		return nil, errors.Join(err, durable.Close())
	}
	return f, nil
}

// openForBoot opens the file for this boot. Update does not wait for the disk there:
// what it wrote is the kernel's, whatever becomes of the process, and when the kernel
// ends, so does the boot. A file that did not get to the disk whole is never read.
func openForBoot(folder, boot string, timeout time.Duration) (*Store, error) {
	if boot == "" || strings.Contains(boot, "/") {
		return nil, fmt.Errorf("state files in %s: %q is no id of a boot of the host", folder, boot)
	}
	own := bootPrefix + boot + bootSuffix
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("look for state files: %w", err)
	}
	for _, f := range files {
		// One that was not finished has more behind its name.
		name := f.Name()
		if !strings.HasPrefix(name, bootPrefix) || !strings.Contains(name, bootSuffix) || strings.HasPrefix(name, own) {
			continue
		}
		if err := os.Remove(filepath.Join(folder, name)); err != nil {
			return nil, fmt.Errorf("remove the state of an earlier boot of the host: %w", err)
		}
	}
	return openStore(&Store{path: filepath.Join(folder, own), unsynced: true}, timeout)
}

// Bucket returns the durable bucket of that name.
func (f *Files) Bucket(name string) *Bucket { return f.durable.Bucket(name) }

// Split returns the bucket of that name whose keys with the prefix need not outlive
// this boot. Those that an older version kept durably are moved.
func (f *Files) Split(name, prefix string) (*Split, error) {
	s := &Split{durable: f.durable.Bucket(name), boot: f.boot.Bucket(name), prefix: prefix}
	return s, s.move()
}

// Close closes the files as Store's Close does.
func (f *Files) Close() error { return errors.Join(f.boot.Close(), f.durable.Close()) }
