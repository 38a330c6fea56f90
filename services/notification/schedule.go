package notification

import (
	"fmt"
	"math"
	"time"
)

// Schedule says when a refused notification is tried again.
type Schedule struct {
	Base    time.Duration // the delay after the first refusal
	Factor  float64       // by which the delay grows at each further one; at least 1
	Cap     time.Duration // the longest delay
	Jitter  float64       // how much a delay is shortened or lengthened at random, at most: 0.1 is 10 %
	Horizon time.Duration // the time from the first attempt that counts to the last one; time held or out of reach does not count
}

// The schedules that a route without one has.
var (
	// DefaultSchedule is for channels without addresses: 1 s, 10 s, 100 s, and at
	// last 11 minutes after the first attempt.
	DefaultSchedule = Schedule{Base: time.Second, Factor: 10, Cap: 10 * time.Minute, Horizon: 11*time.Minute + 11*time.Second}

	// PatientSchedule is for receivers across a network: 30 s, 2 min, 8 min, 32 min,
	// about 2 h, then each 4 h, for three days.
	PatientSchedule = Schedule{Base: 30 * time.Second, Factor: 4, Cap: 4 * time.Hour, Jitter: 0.1, Horizon: 72 * time.Hour}
)

// Next returns when a notification is tried again that was refused at now for the
// refusals'th time (from 1), first being [domain.Notification].First. random
// is in [0, 1). The last try is at the horizon. ok is false if it is over.
func (s Schedule) Next(refusals int, first, now time.Time, random float64) (next time.Time, ok bool) {
	last := first.Add(s.Horizon).Truncate(time.Millisecond)
	if !now.Before(last) {
		return time.Time{}, false
	}
	delay := min(float64(s.Base)*math.Pow(s.Factor, float64(max(refusals, 1)-1)), float64(s.Cap))
	delay *= 1 + s.Jitter*(2*random-1)
	if next = now.Add(time.Duration(delay)); next.After(last) {
		next = last
	}
	return next, true
}

// Check returns an error that names the first field with an impossible value.
func (s Schedule) Check() error {
	const longest = 365 * 24 * time.Hour
	switch {
	case s.Base < 100*time.Millisecond || s.Base > longest:
		return fmt.Errorf("base is %v; it must be 100ms to %v", s.Base, longest)
	case !(s.Factor >= 1 && s.Factor <= 1000):
		return fmt.Errorf("factor is %v; it must be 1 to 1000", s.Factor)
	case s.Cap < s.Base || s.Cap > longest:
		return fmt.Errorf("cap is %v; it must be the base, %v, to %v", s.Cap, s.Base, longest)
	case !(s.Jitter >= 0 && s.Jitter <= 0.5):
		return fmt.Errorf("jitter is %v; it must be 0 to 0.5", s.Jitter)
	case s.Horizon < 0 || s.Horizon > longest:
		return fmt.Errorf("horizon is %v; it must be 0 (a single attempt) to %v", s.Horizon, longest)
	}
	return nil
}
