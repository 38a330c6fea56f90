package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// figures are the samples of everything that was measured, one a round, by
// name.
type figures map[string][]float64

// name joins the parts of a figure's name.
func name(parts ...any) string {
	words := make([]string, len(parts))
	for i, part := range parts {
		words[i] = fmt.Sprint(part)
	}
	return strings.Join(words, "/")
}

// rate is how many a second they were; for none it is not a number.
func rate(count int, took time.Duration) float64 {
	if count <= 0 || took <= 0 {
		return math.NaN()
	}
	return float64(count) / took.Seconds()
}

func (f figures) add(name string, sample float64) { f[name] = append(f[name], sample) }

func (f figures) addTime(name string, sample time.Duration) { f.add(name, milliseconds(sample)) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median is not a number where nothing was measured.
func (f figures) median(name string) float64 { return median(f[name]) }

// ratio is one figure as a multiple of another's: the median of the rounds'
// own, for what was measured in one round met the same machine.
func (f figures) ratio(name, of string) float64 { return median(f.ratios(name, of)) }

// ratios are the rounds' own.
func (f figures) ratios(name, of string) []float64 {
	ratios := make([]float64, min(len(f[name]), len(f[of])))
	for i := range ratios {
		ratios[i] = f[name][i] / f[of][i]
	}
	return ratios
}

// median leaves out what is not a number.
func median(samples []float64) float64 {
	sorted := slices.DeleteFunc(slices.Sorted(slices.Values(samples)), math.IsNaN)
	if len(sorted) == 0 {
		return math.NaN()
	}
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// percentile returns the smallest of the sorted times that at least p percent
// are not above; 0 if there are none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
