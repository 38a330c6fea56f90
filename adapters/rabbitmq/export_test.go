package rabbitmq

import "time"

// SetPause sets the time after which keep gets a letter again.
func (q *DeadLetterQueue) SetPause(pause time.Duration) { q.pause = pause }

// SetMaxPause sets the time after which a consumer without room connects again.
func (c *Consumer) SetMaxPause(pause time.Duration) { c.maxPause = pause }

// SetReplaceTimeout sets the time that one try of handing over an event may take.
func (c *Consumer) SetReplaceTimeout(timeout time.Duration) { c.replaceTimeout = timeout }
