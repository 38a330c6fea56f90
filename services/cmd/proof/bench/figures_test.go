package main

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		name    string
		samples []float64
		want    float64
	}{
		{"none", nil, math.NaN()},
		{"one", []float64{7}, 7},
		{"odd", []float64{9, 1, 5}, 5},
		{"even", []float64{4, 1, 3, 100}, 3.5},
	} {
		if diff := cmp.Diff(tt.want, median(tt.samples), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	samples := []float64{3, 1, 2}
	median(samples)
	if diff := cmp.Diff([]float64{3, 1, 2}, samples); diff != "" {
		t.Errorf("the samples have changed (-want +got):\n%s", diff)
	}
}

func TestRate(t *testing.T) {
	for _, tt := range []struct {
		count int
		took  time.Duration
		want  float64
	}{{10, 2 * time.Second, 5}, {0, time.Second, 0}, {0, -time.Second, 0}} {
		if got := rate(tt.count, tt.took); got != tt.want {
			t.Errorf("%d in %v: got %v, want %v", tt.count, tt.took, got, tt.want)
		}
	}
}

// A slow machine in one round does not change the ratio.
func TestRatio(t *testing.T) {
	f := figures{"fast": {100, 10, 1000}, "slow": {50, 5, 500}, "once": {10}}
	for _, tt := range []struct {
		name, of string
		want     float64
	}{
		{"fast", "slow", 2}, {"slow", "fast", 0.5}, {"fast", "once", 10}, {"fast", "never", math.NaN()}, {"never", "fast", math.NaN()},
	} {
		if diff := cmp.Diff(tt.want, f.ratio(tt.name, tt.of), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s of %s (-want +got):\n%s", tt.name, tt.of, diff)
		}
	}
}
