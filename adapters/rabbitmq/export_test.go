package rabbitmq

import "time"

// SetPause has letters that were not kept come again after that time.
func (q *DeadLetterQueue) SetPause(pause time.Duration) { q.pause = pause }

// SetMaxPause has a consumer without room for more give up its connection after
// that time.
func (c *Consumer) SetMaxPause(pause time.Duration) { c.maxPause = pause }
