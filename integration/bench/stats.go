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

// interval is where the median of what the samples were taken from lies, in 19 of 20
// cases: between two of the samples, however they are distributed (the sign test). It
// is unknown of fewer than six samples.
func interval(samples []float64) (low, high float64, known bool) {
	n := len(samples)
	// Samples below the median are as many as heads of n coins.
	below, term := 0.0, math.Pow(0.5, float64(n))
	k := 0
	for ; k < n/2 && below+term <= 0.025; k++ {
		below += term
		term *= float64(n-k) / float64(k+1)
	}
	if k == 0 {
		return 0, 0, false
	}
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[k-1], sorted[n-k], true
}
