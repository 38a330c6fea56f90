package sqlite

import (
	"context"
	"time"
)

const (
	maxTaken = 256         // what one write takes at most
	idle     = time.Minute // the longest pause of an intake that nobody wakes
)

// intake calls take with the number of free slots, up to maxTaken, until ctx ends or take
// returns an error. take returns how many slots it uses; whoever uses one gives it back.
// If that is fewer, intake pauses until a message arrives, or for the returned time.
func (s *Store) intake(ctx context.Context, queue string, slots chan struct{}, take func(free int) (used int, pause time.Duration, err error)) error {
	for {
		free := awaitSlots(ctx, slots)
		if free == 0 {
			return nil
		}
		arrived := s.bells.await(queue)
		used, pause, err := take(free)
		for range free - used {
			<-slots
		}
		if err != nil {
			return err
		}
		if used == free {
			continue
		}
		select {
		case <-arrived:
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// awaitSlots waits for a slot, and takes all that are free, up to maxTaken. It returns 0
// when ctx ends.
func awaitSlots(ctx context.Context, slots chan<- struct{}) int {
	select {
	case slots <- struct{}{}:
	case <-ctx.Done():
		return 0
	}
	for n := 1; n < maxTaken; n++ {
		select {
		case slots <- struct{}{}:
		default:
			return n
		}
	}
	return maxTaken
}

// untilNext returns how long the time that the statement finds is away: at least a
// millisecond, and at most idle, as for NULL.
func (t *tx) untilNext(now time.Time, sql string, args ...any) (pause time.Duration, err error) {
	pause = idle
	err = t.query(func(r row) bool {
		if next := r.time(0); !next.IsZero() {
			pause = min(max(next.Sub(now), time.Millisecond), idle)
		}
		return false
	}, sql, args...)
	return pause, err
}
