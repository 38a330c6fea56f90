package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// figures are the samples of each measured figure, one a round, by name.
type figures map[string][]float64

// name joins the parts of a figure's name.
func name(parts ...any) string {
	words := make([]string, len(parts))
	for i, part := range parts {
		words[i] = fmt.Sprint(part)
	}
	return strings.Join(words, "/")
}

// rate is a number a second.
func rate(count int, took time.Duration) float64 {
	if count == 0 {
		return 0 // whatever it took
	}
	return float64(count) / took.Seconds()
}

func (f figures) add(name string, sample float64) { f[name] = append(f[name], sample) }

// addTime adds milliseconds.
func (f figures) addTime(name string, sample time.Duration) {
	f.add(name, float64(sample)/float64(time.Millisecond))
}

// addPercentiles adds the median and the 99th percentile of the times, which it sorts.
func (f figures) addPercentiles(under string, times []time.Duration) {
	slices.Sort(times)
	f.addTime(name(under, "p50"), harness.Percentile(times, 50))
	f.addTime(name(under, "p99"), harness.Percentile(times, 99))
}

// median returns the median of a figure, or NaN; the parts are of its name.
func (f figures) median(parts ...any) float64 { return median(f[name(parts...)]) }

// cells returns the medians of figures with a common name, in the form, as cells of a
// table.
func (f figures) cells(form func(float64) string, under string, names ...string) []string {
	var cells []string
	for _, n := range names {
		cells = append(cells, form(f.median(under, n)))
	}
	return cells
}

// withSpread returns the median of a figure and its range, as cells of a table.
func (f figures) withSpread(form func(float64) string, parts ...any) []string {
	return []string{form(f.median(parts...)), spread(f[name(parts...)], form)}
}

// ratio returns the median of the rounds' ratios.
func (f figures) ratio(name, of string) float64 { return median(f.ratios(name, of)) }

// ratios returns each round's ratio: two figures of one round met the same machine.
func (f figures) ratios(name, of string) []float64 {
	ratios := make([]float64, min(len(f[name]), len(f[of])))
	for i := range ratios {
		ratios[i] = f[name][i] / f[of][i]
	}
	return ratios
}

// median returns NaN without any samples.
func median(samples []float64) float64 {
	sorted := slices.Sorted(slices.Values(samples))
	if len(sorted) == 0 {
		return math.NaN()
	}
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
