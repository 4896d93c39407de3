package page

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gangway-net/gangway/integration/lone"
)

// BenchmarkViewers prints what viewers cost the daemon that has 50 networks with 500 containers: its
// processor time and memory, and what each viewer gets.
func BenchmarkViewers(t *testing.B) {
	d := lone.Start(t)
	for n := range 50 {
		network := fmt.Sprintf("%012x%052d", 0xa000+n, 0)
		pool, _ := d.Network(network, fmt.Sprintf("10.71.%d.0/24", n))
		for c := range 10 {
			endpoint := fmt.Sprintf("%012x%052d", 0xe0000+n*16+c, 0)
			address := d.Call("IpamDriver.RequestAddress", lone.Object{"PoolID": pool})["Address"].(string)
			ids := func(more lone.Object) lone.Object {
				more["NetworkID"], more["EndpointID"], more["Options"] = network, endpoint, lone.Object{}
				return more
			}
			d.Call("NetworkDriver.CreateEndpoint", ids(lone.Object{"Interface": lone.Object{"Address": address}}))
			d.Call("NetworkDriver.Join", ids(lone.Object{"SandboxKey": "/run/docker/netns/" + endpoint[:12]}))
		}
	}
	measured(t, d, 0) // the daemon is busy with what has come
	idle := measured(t, d, 0)
	for _, viewers := range []int{1, 8} {
		m := measured(t, d, viewers)
		t.Logf("%d viewers: %.1f ms of processor time a second more than nobody (%.1f), %d KiB of memory more (%d), %d bytes a second for each",
			viewers, m.ms-idle.ms, idle.ms, m.kib-idle.kib, idle.kib, m.bytes)
	}
}

// cost is what a daemon took: milliseconds of a processor a second, memory, and the bytes a
// second that a viewer got.
type cost struct {
	ms    float64
	kib   int
	bytes int64
}

// measured looks for so long, after as long for the beginning.
func measured(t testing.TB, d *lone.Daemon, viewers int) cost {
	t.Helper()
	const begin, long = 8 * time.Second, 20 * time.Second
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	var mu sync.Mutex
	var bytes int64
	for range viewers {
		working.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+lone.Address+"/live", nil)
			if err != nil {
				return
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			for lines := bufio.NewReader(resp.Body); ; {
				line, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				mu.Lock()
				bytes += int64(len(line))
				mu.Unlock()
			}
		})
	}
	time.Sleep(begin)
	mu.Lock()
	bytes = 0
	mu.Unlock()
	before := processorTime(t, d.Process)
	time.Sleep(long)
	c := cost{ms: float64(processorTime(t, d.Process)-before) / long.Seconds(), kib: resident(t, d.Process)}
	stop()
	working.Wait()
	if viewers > 0 {
		c.bytes = bytes / int64(viewers) / int64(long.Seconds())
	}
	return c
}

// processorTime is what a process has used, in milliseconds: clock ticks are 10.
func processorTime(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	system, wrong := strconv.Atoi(fields[12])
	if err != nil || wrong != nil {
		t.Fatal(err, wrong)
	}
	return (user + system) * 10
}

func resident(t testing.TB, pid int) (kib int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	if _, err = fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}
