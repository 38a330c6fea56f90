package statelog_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/services/internal/statelog"
)

// The first line comes at once, others each minute, with what happened since.
func TestMinutely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m statelog.Minutely
		var counts []int
		for range 3 * 60 {
			m.Note(func(count int) { counts = append(counts, count) })
			time.Sleep(time.Second)
		}
		if want := []int{1, 60, 60}; !slices.Equal(counts, want) {
			t.Errorf("counted %v, want %v", counts, want)
		}
	})
}
