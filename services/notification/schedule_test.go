package notification_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"example.com/orderflow/services/notification"
)

// tries returns the times of all tries after the first, if all are refused at once.
func tries(s notification.Schedule, random float64) (all []time.Duration) {
	first := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	at := first
	for refusals := 1; ; refusals++ {
		next, ok := s.Next(refusals, first, at, random)
		if !ok {
			return all
		}
		all = append(all, next.Sub(first))
		at = next
	}
}

func TestSchedules(t *testing.T) {
	const s, m, h = time.Second, time.Minute, time.Hour
	hourly := notification.Schedule{Base: h, Factor: 1, Cap: h, Horizon: 2*h + 30*m}
	tests := []struct {
		name     string
		schedule notification.Schedule
		random   float64
		want     []time.Duration
	}{
		{"default", notification.DefaultSchedule, 0.5, []time.Duration{s, 11 * s, 111 * s, 671 * s}},
		{"default is not random", notification.DefaultSchedule, 0, []time.Duration{s, 11 * s, 111 * s, 671 * s}},
		{"patient, its beginning", notification.PatientSchedule, 0.5, []time.Duration{30 * s, 150 * s, 630 * s, 2550 * s, 10230 * s, 10230*s + 4*h}},
		{"patient, shortest", notification.PatientSchedule, 0, []time.Duration{27 * s, 135 * s, 567 * s}},
		{"the last try is at the horizon", hourly, 0, []time.Duration{h, 2 * h, 2*h + 30*m}},
		{"one try", notification.Schedule{Base: s, Factor: 1, Cap: s}, 0, nil},
	}
	for _, tt := range tests {
		got := tries(tt.schedule, tt.random)
		if strings.HasPrefix(tt.name, "patient") {
			if last := got[len(got)-1]; last != 72*h {
				t.Errorf("%s: the last try is after %v, want 72 h", tt.name, last)
			}
			got = got[:len(tt.want)]
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: tries after %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Every schedule that passes its check ends at its horizon, goes on only forward, and
// waits no longer than it says.
func TestScheduleProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := time.Duration(rapid.Int64Range(int64(100*time.Millisecond), int64(24*time.Hour)).Draw(t, "base"))
		s := notification.Schedule{
			Base: base, Factor: rapid.Float64Range(1, 1000).Draw(t, "factor"),
			Cap:    time.Duration(rapid.Int64Range(int64(base), int64(48*time.Hour)).Draw(t, "cap")),
			Jitter: rapid.Float64Range(0, 0.5).Draw(t, "jitter"),
		}
		s.Horizon = time.Duration(rapid.Int64Range(0, 1000*int64(base)).Draw(t, "horizon"))
		if err := s.Check(); err != nil {
			t.Skip(err)
		}
		all := tries(s, rapid.Float64Range(0, 0.999).Draw(t, "random"))
		last := time.Duration(0)
		for _, at := range all {
			if delay := at - last; delay <= 0 || float64(delay) > float64(s.Cap)*(1+s.Jitter)+1 {
				t.Fatalf("a try comes %v after the one before: %v", delay, all)
			}
			last = at
		}
		if want := s.Horizon.Truncate(time.Millisecond); want > 0 && last != want {
			t.Fatalf("the last try is after %v, want %v", last, want)
		}
	})
}

func TestScheduleChecks(t *testing.T) {
	for _, s := range []notification.Schedule{notification.DefaultSchedule, notification.PatientSchedule} {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
	}
	for want, change := range map[string]func(*notification.Schedule){
		"base is 0s":     func(s *notification.Schedule) { s.Base = 0 },
		"factor is 0.5":  func(s *notification.Schedule) { s.Factor = 0.5 },
		"factor is NaN":  func(s *notification.Schedule) { s.Factor = math.NaN() },
		"cap is 1ms":     func(s *notification.Schedule) { s.Cap = time.Millisecond },
		"jitter is 0.6":  func(s *notification.Schedule) { s.Jitter = 0.6 },
		"horizon is -1s": func(s *notification.Schedule) { s.Horizon = -time.Second },
	} {
		s := notification.PatientSchedule
		change(&s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
