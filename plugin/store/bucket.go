package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"

	"go.etcd.io/bbolt"
)

// Bucket is a named set of keys in a Store. Its methods may be called
// concurrently.
type Bucket struct {
	store *Store
	name  string
}

// Load visits every key in ascending order, as they were at one moment. The
// value is valid only during the visit. The first error of visit ends it and is
// returned as it is.
func (b *Bucket) Load(visit func(key string, value []byte) error) error {
	type pair struct {
		key   string
		value []byte
	}
	// The content is copied first: visit may write to the bucket, which bbolt
	// does not allow inside a read, and a panic of visit is not the file's.
	var all []pair
	err := b.store.run(func() error {
		return b.store.db.View(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket(dataBucket).Bucket([]byte(b.name))
			if bucket == nil {
				return nil
			}
			return bucket.ForEach(func(k, v []byte) error {
				all = append(all, pair{string(k), bytes.Clone(v)})
				return nil
			})
		})
	})
	if err != nil {
		return fmt.Errorf("read %s from state file %s: %w", b.name, b.store.path, err)
	}
	for _, p := range all {
		if err := visit(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

// Update writes all changes in one transaction, durable unless the store is for one
// boot of the host; a nil value deletes its
// key, a missing one too. Keys are 1 to 32768 bytes long. Updates that are under
// way at the same time are written together, so that they share the wait for
// the disk; of two with the same key the later call wins. The changes must not
// be modified until Update returns.
func (b *Bucket) Update(changes map[string][]byte) error {
	if len(changes) == 0 {
		return nil
	}
	if err := b.checkSizes(changes); err != nil {
		return err
	}
	w := &write{bucket: []byte(b.name), changes: changes, done: make(chan struct{})}
	if err := b.store.queue.submit(w, b.store.commit); err != nil {
		return fmt.Errorf("write %s to state file %s: %w", b.name, b.store.path, err)
	}
	return nil
}

// checkSizes keeps what bbolt refuses out of transactions shared with others.
func (b *Bucket) checkSizes(changes map[string][]byte) error {
	if b.name == "" || len(b.name) > bbolt.MaxKeySize-len(digestPrefix) {
		return fmt.Errorf("bucket name of %d bytes: want 1 to %d", len(b.name), bbolt.MaxKeySize-len(digestPrefix))
	}
	for k, v := range changes {
		if k == "" || len(k) > bbolt.MaxKeySize {
			return fmt.Errorf("key of %d bytes in bucket %s: want 1 to %d", len(k), b.name, bbolt.MaxKeySize)
		}
		if len(v) > bbolt.MaxValueSize {
			return fmt.Errorf("value of %d bytes at key %s in bucket %s: want at most %d", len(v), k, b.name, bbolt.MaxValueSize)
		}
	}
	return nil
}

// write is one Update on its way to the disk. err may be read once done is
// closed.
type write struct {
	bucket  []byte
	changes map[string][]byte
	done    chan struct{}
	err     error
}

// queue lets writes that arrive while the disk is busy share the next
// transaction. bbolt.Batch does this too, but holds a lone write back for 10 ms
// in the hope of company.
type queue struct {
	// turn holds a token while somebody commits.
	turn chan struct{}

	mu      sync.Mutex
	waiting []*write
}

// submit returns when w is on disk. Whoever gets the turn commits for all that
// wait.
func (q *queue) submit(w *write, commit func([]*write) error) error {
	q.mu.Lock()
	q.waiting = append(q.waiting, w)
	q.mu.Unlock()
	select {
	case <-w.done:
		return w.err
	case q.turn <- struct{}{}:
	}
	q.mu.Lock()
	batch := q.waiting
	q.waiting = nil
	q.mu.Unlock()
	if len(batch) > 0 {
		err := commit(batch)
		for _, each := range batch {
			each.err = err
			close(each.done)
		}
	}
	<-q.turn
	<-w.done
	return w.err
}

// commit writes the batch in one transaction.
func (s *Store) commit(batch []*write) error {
	return s.run(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			meta, data := tx.Bucket(metaBucket), tx.Bucket(dataBucket)
			for _, w := range batch {
				if err := w.apply(meta, data); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// run calls bbolt. After a panic inside it the store answers errors only.
func (s *Store) run(f func() error) error {
	if broken := s.broken.Load(); broken != nil {
		return *broken
	}
	err := guard(f)
	var p panicError
	if errors.As(err, &p) {
		s.broken.Store(&err)
	}
	return err
}

func (w *write) apply(meta, data *bbolt.Bucket) error {
	bucket, err := data.CreateBucketIfNotExists(w.bucket)
	if err != nil {
		return err
	}
	sum := storedDigest(meta, w.bucket)
	for k, v := range w.changes {
		key := []byte(k)
		if old := bucket.Get(key); old != nil {
			sum ^= digest(key, old)
		}
		if v == nil {
			err = bucket.Delete(key)
		} else {
			sum ^= digest(key, v)
			err = bucket.Put(key, v)
		}
		if err != nil {
			return fmt.Errorf("key %s: %w", k, err)
		}
	}
	return meta.Put(digestKey(w.bucket), binary.BigEndian.AppendUint64(nil, sum))
}

const digestPrefix = "digest/"

func digestKey(bucket []byte) []byte { return append([]byte(digestPrefix), bucket...) }

// digest is one key's part of its bucket's digest. The parts are combined by
// exclusive or, so that a change costs only its own keys.
func digest(key, value []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(key))))
	_, _ = h.Write(key)
	_, _ = h.Write(value)
	return h.Sum64()
}

// storedDigest is 0 for a bucket that does not exist yet, as for an empty one.
func storedDigest(meta *bbolt.Bucket, bucket []byte) uint64 {
	v := meta.Get(digestKey(bucket))
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// checkDigests compares every bucket with its digest, and every digest with
// its bucket.
func checkDigests(meta, data *bbolt.Bucket) error {
	err := data.ForEach(func(name, value []byte) error {
		bucket := data.Bucket(name)
		if value != nil || bucket == nil {
			return fmt.Errorf("damaged: %q is not a bucket", name)
		}
		var sum uint64
		err := bucket.ForEach(func(k, v []byte) error {
			sum ^= digest(k, v)
			return nil
		})
		if err == nil && (sum != storedDigest(meta, name) || meta.Get(digestKey(name)) == nil) {
			err = fmt.Errorf("damaged: the content of bucket %q does not match its digest", name)
		}
		return err
	})
	if err != nil {
		return err
	}
	return meta.ForEach(func(k, v []byte) error {
		name, ok := bytes.CutPrefix(k, []byte(digestPrefix))
		switch {
		case bytes.Equal(k, schemaKey):
			return nil
		case !ok || len(v) != 8:
			return fmt.Errorf("damaged: unknown key %q beside the schema version", k)
		case data.Bucket(name) == nil:
			return fmt.Errorf("damaged: bucket %q is missing", name)
		}
		return nil
	})
}
