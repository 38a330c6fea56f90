package notification

import (
	"context"
	"math/rand/v2"
	"time"

	"example.com/orderflow/services/internal/statelog"
)

const (
	expireBatch    = 500
	expireInterval = 10 * time.Minute
	expirePause    = 100 * time.Millisecond // at least, between two batches
)

// expire deletes notifications that are older than the retention, until ctx ends. All
// notifiers do so, each at its own times; a batch that another has deleted costs little.
// Between two batches expire waits for as long as the last one took, so that it uses at
// most half of one connection.
func (s *Service) expire(ctx context.Context) {
	var log statelog.State
	sleep(ctx, rand.N(expireInterval))
	for ctx.Err() == nil {
		began := time.Now()
		call, cancel := context.WithTimeout(ctx, handlerTimeout)
		deleted, err := s.deliveries.Expire(call, now().Add(-s.retention), expireBatch)
		cancel()
		switch {
		case err == nil:
			log.Up(ctx, s.log, "old notifications can be deleted again")
		case ctx.Err() == nil:
			log.Down(ctx, s.log, "old notifications can't be deleted; it is tried again later", err)
		}
		if err == nil && deleted == expireBatch {
			sleep(ctx, max(expirePause, time.Since(began)))
		} else {
			sleep(ctx, expireInterval)
		}
	}
}
