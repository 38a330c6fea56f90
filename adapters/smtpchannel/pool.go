package smtpchannel

import (
	"errors"
	"slices"
	"sync"
	"time"
)

var errClosed = errors.New("the channel is closed")

// pool keeps idle sessions for a limited time.
type pool struct {
	mu     sync.Mutex
	idle   []*session
	closed bool
	ending sync.WaitGroup // sessions that are sending QUIT
}

// take returns the session that was used last, or nil if none is idle.
func (p *pool) take() (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if len(p.idle) == 0 {
		return nil, nil
	}
	s := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	s.expiry.Stop()
	return s, nil
}

// put keeps the session for the next mail. It reports false if the pool is closed.
func (p *pool) put(s *session, t timeouts) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	s.kept = true
	p.idle = append(p.idle, s)
	s.expiry = time.AfterFunc(t.idle, func() { p.expire(s, t.quit) })
	return true
}

// expire ends the session if it is still idle.
func (p *pool) expire(s *session, quit time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.idle, s); i >= 0 {
		p.idle = slices.Delete(p.idle, i, i+1)
		p.end(s, quit)
	}
}

// end ends the session in the background. The caller holds the lock.
func (p *pool) end(s *session, quit time.Duration) {
	p.ending.Go(func() { s.quit(quit) })
}

// close ends the idle sessions, and waits for those that are ending.
func (p *pool) close(quit time.Duration) {
	p.mu.Lock()
	p.closed = true
	for _, s := range p.idle {
		s.expiry.Stop()
		p.end(s, quit)
	}
	p.idle = nil
	p.mu.Unlock()
	p.ending.Wait()
}
