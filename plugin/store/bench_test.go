package store

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// BenchmarkUpdate writes one key an update, durably and for this boot, alone and at
// the same time: shared transactions make the second much the cheaper one where the
// disk is slow.
func BenchmarkUpdate(b *testing.B) {
	for _, file := range []string{"durable", "boot-1"} {
		for _, parallel := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/parallel%d", file, parallel), func(b *testing.B) {
				benchmarkUpdate(b, filepath.Join(b.TempDir(), file+".db"), parallel)
			})
		}
	}
}

func benchmarkUpdate(b *testing.B, path string, parallel int) {
	s, err := openStore(&Store{path: path, unsynced: unsynced(path)}, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	bucket := s.Bucket("b")
	value := make([]byte, 500)
	var next atomic.Int64
	work := func() {
		changes := map[string][]byte{fmt.Sprint(next.Add(1) % 10000): value}
		if err := bucket.Update(changes); err != nil {
			b.Error(err)
		}
	}
	if parallel == 1 {
		for b.Loop() {
			work()
		}
		return
	}
	b.SetParallelism(parallel)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			work()
		}
	})
}
