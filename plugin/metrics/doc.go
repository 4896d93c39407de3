// Package metrics says in numbers how the daemon and its networks are, as Prometheus
// reads them (https://prometheus.io/docs/instrumenting/exposition_formats/).
//
// Invariant: nothing is collected unless somebody asks, but for the durations of calls;
// what is asked of the kernel takes one dump, however many containers there are, and
// nobody waits for it longer than sourceTime. Every metric is a row of Table, which the
// documentation is written from. Labels are ids, names, and words of fixed lists: there
// are no more series than endpoints times the rows about them.
//
// It refuses to change anything, and to answer anything but GET.
package metrics
