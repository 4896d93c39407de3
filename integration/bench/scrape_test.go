package bench

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/gangway-net/gangway/plugin"
)

// scrapeEvery is the pause between scrapes. Counters of refused packets are read anew
// after a second, so a scrape pays for them, as at the pace of a real scraper.
const scrapeEvery = 2 * time.Second

// BenchmarkScrape is what one scrape of the metrics costs with so many endpoints: the
// daemon's processor time without what it uses in as much time when nobody asks, the size
// of the answer, and the memory before the first scrape and after the last. -benchtime
// 15x takes five minutes.
func BenchmarkScrape(b *testing.B) {
	dir := b.TempDir()
	programs(b, dir)
	for _, v := range of(gangway) {
		b.Run(v.Name, func(b *testing.B) {
			s := newStation(b, v, dir)
			have := 0
			for _, n := range []int{0, 100, 1000} {
				s.fill(b, have, n, 1)
				have = n
				b.Run(fmt.Sprint("endpoints=", n), func(b *testing.B) { s.scrapes(b) })
			}
		})
	}
}

func (s *station) scrapes(b *testing.B) {
	before := s.daemon.residentMB(b)
	spend := func(each func()) time.Duration {
		start := s.daemon.cpu(b)
		for range b.N {
			time.Sleep(scrapeEvery)
			each()
		}
		end := s.daemon.cpu(b)
		return end.user + end.system - start.user - start.system
	}
	size, wall := 0, time.Duration(0)
	idle := spend(func() {})
	asked := spend(func() {
		start := time.Now()
		size = s.scrape(b)
		wall += time.Since(start)
	})
	b.ReportMetric(float64((asked-idle).Microseconds())/1000/float64(b.N), "cpu-ms/scrape")
	b.ReportMetric(float64(wall.Microseconds())/1000/float64(b.N), "ms/scrape")
	b.ReportMetric(float64(size)/1024, "KB/scrape")
	b.ReportMetric(before, "MB-before")
	b.ReportMetric(s.daemon.residentMB(b), "MB-after")
	b.ReportMetric(0, "ns/op") // pauses, mostly
}

// scrape returns the size of an answer.
func (s *station) scrape(b *testing.B) int {
	b.Helper()
	resp, err := s.http.Get("http://gangway" + plugin.MetricsPath)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("%s, %v: %s", resp.Status, err, text)
	}
	return len(text)
}
