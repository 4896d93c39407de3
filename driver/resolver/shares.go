package resolver

import (
	"net/netip"
	"sync"
)

const (
	// mostQuestions are answered at a time, mostOfContainer of one container. Each takes a
	// goroutine and a descriptor.
	mostQuestions   = 512
	mostOfContainer = 32
	// mostConnections are open by TCP, mostOfClient of one container.
	mostConnections = 256
	mostOfClient    = 8
)

// shares shares something out: who has most of it leaves something for the others.
type shares struct {
	mu          sync.Mutex
	used        map[netip.Addr]int
	total       int
	most, ofOne int
}

func newShares(most, ofOne int) shares {
	return shares{used: map[netip.Addr]int{}, most: most, ofOne: ofOne}
}

// take says whether somebody may have one more. Nobody has more than are left.
func (s *shares) take(who netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[who] >= min(s.ofOne, s.most-s.total) {
		return false
	}
	s.used[who]++
	s.total++
	return true
}

func (s *shares) give(who netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.used[who]--; s.used[who] == 0 {
		delete(s.used, who)
	}
}
