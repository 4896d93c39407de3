package hostport

import (
	"errors"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Opening and closing sockets is most of what a port costs, and the kernel does
// both on several processors at once. So the descriptors of a long list are
// opened ahead and closed together, by several threads. What each is for is
// decided one port after the other all the same: what could not be opened ahead
// is opened then, which tells what is in the way.

// perThread is how many descriptors are worth another thread.
const perThread = 64

// openAhead binds what the fixed ports of a list need. What owner holds, or
// what is in the way, it leaves to place.
func (r *reservation) openAhead(reqs []request) {
	if len(reqs) < 2*perThread {
		return
	}
	var want []binding
	for i := range reqs {
		if q := &reqs[i]; q.fixed() {
			for _, b := range q.bindings(q.first) {
				if r.m.book.conflict(b.key) == nil {
					want = append(want, b)
				}
			}
		}
	}
	fds := make([]int, len(want))
	inParallel(len(want), func(i int) {
		var err error
		if fds[i], err = r.m.relays.filters.bind(want[i]); err != nil {
			fds[i] = -1
		}
	})
	r.ahead = make(map[binding]int, len(want))
	for i, b := range want {
		if fds[i] >= 0 {
			r.ahead[b] = fds[i]
		}
	}
}

// bind returns a descriptor that was bound ahead, or binds one.
func (r *reservation) bind(b binding) (int, error) {
	if fd, ok := r.ahead[b]; ok {
		delete(r.ahead, b)
		return fd, nil
	}
	fd, err := r.m.relays.filters.bind(b)
	if errors.Is(err, unix.EADDRINUSE) && len(r.ahead) > 0 {
		// What is in the way may be a later port of the same list.
		r.closeAhead()
		return r.m.relays.filters.bind(b)
	}
	return fd, err
}

// closeAhead closes what nothing needed.
func (r *reservation) closeAhead() {
	for _, fd := range r.ahead {
		_ = unix.Close(fd)
	}
	r.ahead = nil
}

// closeAll closes descriptors. The kernel has released their ports whatever
// close says.
func closeAll(fds []int) {
	inParallel(len(fds), func(i int) { _ = unix.Close(fds[i]) })
}

// inParallel calls f with 0 to n-1, each once, on as many processors as that is
// worth, and returns when all calls have.
func inParallel(n int, f func(i int)) {
	threads := max(1, min(runtime.GOMAXPROCS(0), n/perThread))
	var wg sync.WaitGroup
	for t := range threads {
		part := func() {
			for i := n * t / threads; i < n*(t+1)/threads; i++ {
				f(i)
			}
		}
		if t == threads-1 {
			part()
		} else {
			wg.Go(part)
		}
	}
	wg.Wait()
}
