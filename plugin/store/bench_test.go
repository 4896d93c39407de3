package store

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// BenchmarkUpdate writes one key an update, alone and at the same time: shared
// transactions make the second much the cheaper one where the disk is slow.
func BenchmarkUpdate(b *testing.B) {
	for _, parallel := range []int{1, 64} {
		b.Run(fmt.Sprint("parallel", parallel), func(b *testing.B) {
			s, err := Open(filepath.Join(b.TempDir(), "state.db"), 0)
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
		})
	}
}
