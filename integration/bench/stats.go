package bench

import (
	"math"
	"slices"
)

// quantile returns the q-quantile (0 to 1) of the samples by the nearest rank,
// and NaN of none.
func quantile(samples []float64, q float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(samples))
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

// median is the middle sample, or the mean of the two middle ones.
func median(samples []float64) float64 {
	n := len(samples)
	if n == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(samples))
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// spread is the distance between the quartiles as a share of the median: how
// noisy a figure is. It is 0 for fewer than four samples.
func spread(samples []float64) float64 {
	m := median(samples)
	if len(samples) < 4 || m == 0 {
		return 0
	}
	return (quantile(samples, 0.75) - quantile(samples, 0.25)) / m
}
