package harness

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	upTo := func(n int) []time.Duration {
		sorted := make([]time.Duration, n)
		for i := range sorted {
			sorted[i] = time.Duration(i + 1)
		}
		return sorted
	}
	for _, tt := range []struct {
		count int
		p     float64
		want  time.Duration
	}{
		{0, 99, 0}, {1, 50, 1}, {1, 99, 1}, {2, 50, 1}, {3, 50, 2}, {100, 50, 50}, {100, 99, 99}, {101, 99, 100}, {1000, 99, 990}, {10, 100, 10}, {10, 0, 1},
	} {
		if got := Percentile(upTo(tt.count), tt.p); got != tt.want {
			t.Errorf("percentile %v of 1 to %d: got %d, want %d", tt.p, tt.count, got, tt.want)
		}
	}
}
