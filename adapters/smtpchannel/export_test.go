package smtpchannel

import "time"

// SetTimeout replaces the bounds of the steps.
func (c *Channel) SetTimeout(step time.Duration) {
	c.timeouts = timeouts{connect: step, resume: step, command: step, accept: step, quit: step, idle: c.timeouts.idle}
}

// SetIdle replaces how long a session is kept without a mail.
func (c *Channel) SetIdle(idle time.Duration) { c.timeouts.idle = idle }

// SetNow replaces the clock of the mails' dates.
func (c *Channel) SetNow(now time.Time) { c.now = func() time.Time { return now } }

// Idle returns how many sessions are idle.
func (c *Channel) Idle() int {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return len(c.pool.idle)
}
