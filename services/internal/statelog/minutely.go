package statelog

import (
	"sync"
	"time"
)

// Minutely limits what may happen thousands of times a second to one log line a minute.
// The zero Minutely is ready for use.
type Minutely struct {
	mu    sync.Mutex
	count int // since the last line
	last  time.Time
}

// Note counts one more. If a line is due, it calls log with the count since the last
// one. The first line is due at once.
func (m *Minutely) Note(log func(count int)) {
	m.mu.Lock()
	m.count++
	count, due := m.count, m.last.IsZero() || time.Since(m.last) >= time.Minute
	if due {
		m.count, m.last = 0, time.Now()
	}
	m.mu.Unlock()
	if due {
		log(count)
	}
}
