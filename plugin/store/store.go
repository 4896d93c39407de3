package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// schema is the version of what is in the file beside bbolt's own format:
// buckets below dataBucket with the values of their owners, and in metaBucket
// the version and the digests. An older file is brought up to it by migrations.
const schema = 9

var (
	metaBucket = []byte("meta")
	dataBucket = []byte("data")
	schemaKey  = []byte("schema")
)

// Store is an open state file. Its methods may be called concurrently.
type Store struct {
	path string
	// unsynced says that the content does not outlive this boot of the host.
	unsynced bool
	file     *os.File
	db       *bbolt.DB
	// broken is why bbolt can no longer be used, if a call of it panicked: it
	// may have kept its locks.
	broken atomic.Pointer[error]
	queue  queue
}

// Open opens the state file at path, and creates it (mode 0600) and its folder
// (mode 0700) if they are missing. While another process has it open it is
// waited for up to timeout; 0 or less tries once.
//
// A file of an older version is brought to this one's schema, in one
// transaction. Errors name the file and the next step. A file that was there is
// unchanged after an error, one of a newer version too.
func Open(path string, timeout time.Duration) (*Store, error) {
	return openStore(&Store{path: path}, timeout)
}

func openStore(s *Store, timeout time.Duration) (*Store, error) {
	deadline, path := time.Now().Add(timeout), s.path
	s.queue.turn = make(chan struct{}, 1)
	err := create(path, deadline)
	if err == nil {
		err = guard(func() error { return s.open(deadline) })
	}
	if err == nil {
		return s, nil
	}
	if s.file != nil {
		// It may be closed already, so this error says nothing.
		_ = s.file.Close()
	}
	var system *fs.PathError
	switch {
	case errors.Is(err, errHeld):
		return nil, fmt.Errorf("state file %s is held by another gangway: stop that one first", path)
	case errors.Is(err, errNewer):
		return nil, fmt.Errorf("state file %s: %w: install that version again, or move the file away to start without what it holds", path, err)
	case errors.As(err, &system):
		return nil, fmt.Errorf("open state file %s: %w", path, err)
	}
	return nil, fmt.Errorf("state file %s cannot be used, and was left as it is: %w: put back a copy of it, or move it away to start without what it holds", path, err)
}

// Close waits for updates under way and closes the file. The store must not be
// used after it.
func (s *Store) Close() error {
	if s.broken.Load() != nil {
		// bbolt may wait for its own locks for ever.
		return s.file.Close()
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("close state file %s: %w", s.path, err)
	}
	return nil
}

// Bucket returns the part of the store of that name. Nothing is written until
// its first Update.
func (s *Store) Bucket(name string) *Bucket { return &Bucket{store: s, name: name} }

var (
	errHeld  = errors.New("locked by another process")
	errNewer = errors.New("written by a newer gangway")
)

// open locks, checks and opens the file, in this order.
func (s *Store) open(deadline time.Time) error {
	db, err := bbolt.Open(s.path, 0o600, &bbolt.Options{
		// The lock is ours already when bbolt takes it, since both take it
		// through the same descriptor; a timeout of 0 would wait for ever.
		Timeout: time.Second,
		NoSync:  s.unsynced,
		// Creating is left to create: bbolt would do it in place, and take a
		// file cut to nothing for a new one.
		OpenFile: func(path string, _ int, _ os.FileMode) (*os.File, error) {
			f, err := openLocked(path, deadline)
			s.file = f
			return f, err
		},
	})
	if err != nil {
		return err
	}
	s.db = db
	version, err := s.check()
	if err == nil && version < schema {
		err = db.Update(func(tx *bbolt.Tx) error { return migrate(tx, version) })
	}
	if err != nil {
		return errors.Join(err, db.Close())
	}
	return nil
}

// openLocked opens a file that bbolt can be let loose on.
func openLocked(path string, deadline time.Time) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := lock(f, deadline); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := checkPages(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lock takes the advisory lock that bbolt uses too (flock(2)).
func lock(f *os.File, deadline time.Time) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		if time.Now().After(deadline) {
			return errHeld
		}
		<-time.After(20 * time.Millisecond)
	}
}

// create makes a new store if there is nothing at path. It is written beside
// and moved into place when it is complete, so that a crash leaves no file that
// is half one. The folder is locked meanwhile against others doing the same.
func create(path string, deadline time.Time) error {
	switch info, err := os.Stat(path); {
	case err == nil && !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	dir, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if err := lock(dir, deadline); err != nil {
		return err
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh := path + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	if err := initialise(fresh); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return dir.Sync()
}

func initialise(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	updateErr := db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucket(dataBucket); err != nil {
			return err
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return meta.Put(schemaKey, []byte(strconv.Itoa(schema)))
	})
	return errors.Join(updateErr, db.Close())
}

// check compares the content with what this package and its older versions
// write, and returns the schema's version.
func (s *Store) check() (version int, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		meta, data := tx.Bucket(metaBucket), tx.Bucket(dataBucket)
		if meta == nil || data == nil || meta.Get(schemaKey) == nil {
			return errors.New("it is a database, but not gangway's")
		}
		stored, malformed := strconv.ParseUint(string(meta.Get(schemaKey)), 10, 31)
		if malformed != nil {
			return fmt.Errorf("schema version %q is not a number", meta.Get(schemaKey))
		}
		version = int(stored)
		if version > schema {
			return fmt.Errorf("%w (schema %d, this one knows %d)", errNewer, version, schema)
		}
		if version < oldest {
			return fmt.Errorf("schema version %d was never in use", version)
		}
		if damage := firstError(tx.Check()); damage != nil {
			return fmt.Errorf("damaged: %w", damage)
		}
		return checkDigests(meta, data)
	})
	return version, err
}

// firstError drains ch, as bbolt needs, and returns its first error.
func firstError(ch <-chan error) error {
	var first error
	for err := range ch {
		if first == nil {
			first = err
		}
	}
	return first
}

// guard turns a panic of bbolt into an error, as well as the fault of a mapped
// page that the disk no longer gives.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = panicError{value: r}
		}
	}()
	return f()
}

// panicError is what guard caught.
type panicError struct{ value any }

func (e panicError) Error() string { return fmt.Sprintf("damaged: %v", e.value) }
