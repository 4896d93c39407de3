package metrics

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"

	"github.com/gangway-net/gangway/plugin"
)

// atOnce is how many scrapes are answered at a time; others are turned away.
const atOnce = 4

// Options are what metrics are made from.
type Options struct {
	Datapath Datapath
	Traffic  Traffic
	Flows    Flows
	Pools    Pools
	// Names may be nil: then labels have ids.
	Names   Names
	Version plugin.Version
	Log     *logrus.Entry
}

// Metrics answers scrapes, and is told of calls.
type Metrics struct {
	calls   *prometheus.CounterVec
	took    *prometheus.HistogramVec
	own     *collector
	handler http.Handler
	// unserved is why nothing is served at the address of its own; nil if it is, or there is
	// none.
	unserved atomic.Pointer[string]
}

// New returns the metrics of a daemon that is still to be named; see Attach.
func New(o Options) *Metrics {
	descs, labels := describe()
	m := &Metrics{
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{Name: callsAnswered, Help: help(callsAnswered)}, labels[callsAnswered]),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: callDuration, Help: help(callDuration),
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 10, 20},
		}, labels[callDuration]),
		own: newCollector(o, descs),
	}
	all := prometheus.NewRegistry()
	all.MustRegister(m.calls, m.took, m.own, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(all, promhttp.HandlerOpts{
		// A scraper is on this host, or next to it. Packing would cost more than the rest.
		DisableCompression:  true,
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            warnings{o.Log},
		MaxRequestsInFlight: atOnce,
	})
	return m
}

// Attach names the daemon whose metrics these are. It comes before the first scrape.
func (m *Metrics) Attach(d Daemon) {
	m.own.daemon = d
	// The first call of a result is an increase for who knows that there was none.
	for _, call := range d.CallNames() {
		for _, result := range plugin.Results() {
			m.calls.WithLabelValues(call, result)
		}
	}
}

// Close waits until the sources are not asked any more, and lets nobody ask again: they
// may be closed then.
func (m *Metrics) Close() {
	m.own.traffic.busy.Lock()
	m.own.flows.busy.Lock()
}

// Answered is plugin.Calls.
func (m *Metrics) Answered(call, result string, took time.Duration) {
	m.calls.WithLabelValues(call, result).Inc()
	m.took.WithLabelValues(call).Observe(took.Seconds())
}

// ServeHTTP answers a scrape, whatever its path.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.handler.ServeHTTP(w, r) }

// warnings takes what could not be collected.
type warnings struct{ log *logrus.Entry }

// Println is promhttp.Logger.
func (w warnings) Println(v ...any) { w.log.Warn(append([]any{"metrics: "}, v...)...) }

// describe returns the descriptions of what is collected at a scrape, and the labels of
// all rows, by name.
func describe() (descs map[string]*prometheus.Desc, labels map[string][]string) {
	descs, labels = map[string]*prometheus.Desc{}, map[string][]string{}
	for _, row := range Table() {
		labels[row.Name] = row.Labels
		if row.Name != callsAnswered && row.Name != callDuration {
			descs[row.Name] = prometheus.NewDesc(row.Name, row.Help, row.Labels, nil)
		}
	}
	return descs, labels
}

func help(name string) string {
	for _, row := range Table() {
		if row.Name == name {
			return row.Help
		}
	}
	return ""
}
