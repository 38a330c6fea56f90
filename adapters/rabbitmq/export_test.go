package rabbitmq

import "time"

// SetPause has letters that were not kept come again after that time.
func (q *DeadLetterQueue) SetPause(pause time.Duration) { q.pause = pause }
