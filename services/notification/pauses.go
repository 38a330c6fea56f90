package notification

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
)

const (
	watchInterval = time.Second     // between two readings of the pauses
	maxPauseAge   = 5 * time.Second // since the reading of a pause that holds a notification; less than drainMargin
	callTimeout   = 5 * time.Second // of a call of the store for which no notification waits
	stuckAfter    = time.Hour       // a pause that has lasted so long causes an alert
)

// pauses caches the stored pauses, as this process has last read or written them. Before
// the first reading it has none.
type pauses struct {
	current atomic.Pointer[map[domain.PauseKey]ports.Pause]
	mu      sync.Mutex    // held while current is replaced
	reading chan struct{} // full during a reading
	began   time.Time     // of the latest reading; only read and written during a reading
}

// blocking returns the pause, if any, that keeps the channel from sending to the
// receiver. A pause that is being drained keeps it from nothing.
func (p *pauses) blocking(channel, receiver string) (ports.Pause, bool) {
	current := p.current.Load()
	if current == nil || len(*current) == 0 {
		return ports.Pause{}, false
	}
	own, ok := (*current)[domain.PauseKey{Channel: channel, Receiver: receiver}]
	if ok && own.Kind == ports.Off {
		return own, true
	}
	if whole, paused := (*current)[domain.PauseKey{Channel: channel}]; paused && whole.Kind != ports.Draining {
		return whole, true
	}
	return own, ok && own.Kind != ports.Draining
}

// get returns the pause with this key.
func (p *pauses) get(key domain.PauseKey) (pause ports.Pause, ok bool) {
	if current := p.current.Load(); current != nil {
		pause, ok = (*current)[key]
	}
	return pause, ok
}

// all returns the pauses of the channel.
func (p *pauses) all(channel string) (found []ports.Pause) {
	if current := p.current.Load(); current != nil {
		for key, pause := range *current {
			if key.Channel == channel {
				found = append(found, pause)
			}
		}
	}
	return found
}

func (p *pauses) replace(read []ports.Pause) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := make(map[domain.PauseKey]ports.Pause, len(read))
	for _, pause := range read {
		fresh[pause.PauseKey] = pause
	}
	p.current.Store(&fresh)
}

// update applies a change that this process has stored, before the next reading.
func (p *pauses) update(change func(map[domain.PauseKey]ports.Pause)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := make(map[domain.PauseKey]ports.Pause)
	if current := p.current.Load(); current != nil {
		maps.Copy(fresh, *current)
	}
	change(fresh)
	p.current.Store(&fresh)
}

func (p *pauses) put(pause ports.Pause) {
	p.update(func(m map[domain.PauseKey]ports.Pause) { m[pause.PauseKey] = pause })
}

func (p *pauses) remove(key domain.PauseKey) {
	p.update(func(m map[domain.PauseKey]ports.Pause) { delete(m, key) })
}

// readPauses reads the pauses from the store.
func (s *Service) readPauses(ctx context.Context) error { return s.readPausesSince(ctx, time.Now()) }

// readPausesSince reads the pauses from the store, unless a reading began after this
// time. Callers that wait for a reading share the next one.
func (s *Service) readPausesSince(ctx context.Context, since time.Time) error {
	select {
	case s.pauses.reading <- struct{}{}:
		defer func() { <-s.pauses.reading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	if s.pauses.began.After(since) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	read, err := s.states.Pauses(ctx)
	if err == nil {
		s.pauses.replace(read)
		s.pauses.began = began
	}
	return err
}

// readFirstPauses waits for the store until ctx ends; then it returns false.
func (s *Service) readFirstPauses(ctx context.Context) bool {
	read := false
	retry.Until(ctx, 2*time.Second, func() (done bool) {
		err := s.readPauses(ctx)
		if read = err == nil; !read && ctx.Err() == nil {
			s.watched.Down(ctx, s.log, "the pauses can't be read; no events are consumed until they are", err)
		}
		return read
	})
	if read {
		s.watched.Up(ctx, s.log, "the pauses were read; events are consumed")
	}
	return read
}

// watchPauses reads the pauses each second, and starts the probes and drains that they
// need. After ctx has ended it waits for them.
func (s *Service) watchPauses(ctx, calls context.Context) {
	tasks := pauseTasks{running: make(map[domain.PauseKey]bool)}
	defer tasks.wg.Wait()
	for ctx.Err() == nil {
		for _, r := range s.routes {
			for _, pause := range s.pauses.all(r.name) {
				s.startTask(ctx, calls, r, pause, &tasks)
			}
			r.receivers.forgetIdle()
		}
		sleep(ctx, watchInterval)
		switch err := s.readPauses(ctx); {
		case err == nil:
			s.watched.Up(ctx, s.log, "the pauses are read again")
		case ctx.Err() == nil:
			s.watched.Down(ctx, s.log, "the pauses can't be read; those that were read last hold", err)
		}
	}
}

// startTask starts the drain, probe or alert that the pause needs now, unless it runs
// already.
func (s *Service) startTask(ctx, calls context.Context, r *route, pause ports.Pause, tasks *pauseTasks) {
	switch {
	case pause.Kind == ports.Draining:
		tasks.start(pause.PauseKey, func() { s.drain(ctx, calls, r, pause.PauseKey) })
	case pause.Kind == ports.Breaker && time.Until(pause.Probe) < watchInterval:
		tasks.start(pause.PauseKey, func() {
			sleep(ctx, time.Until(pause.Probe)) // or all that are due in this interval would start together
			select {
			case r.probes <- struct{}{}:
				defer func() { <-r.probes }()
				s.probe(calls, r, pause)
			case <-ctx.Done():
			}
		})
	case pause.Kind == ports.Manual && pause.Probe.IsZero() && time.Since(pause.Since) >= stuckAfter:
		tasks.start(pause.PauseKey, func() { s.alertStuck(calls, r, pause) })
	}
}

// alertStuck alerts about a pause of a person. Of all notifiers only one alerts: the one
// whose Change has set Probe.
func (s *Service) alertStuck(ctx context.Context, r *route, pause ports.Pause) {
	after := pause
	after.Probe = now()
	if s.change(ctx, pause, after) == nil {
		s.alert(Stuck, r, pause.Receiver, job{}, pause.Reason, pause.Since)
	}
}

// change replaces the pause in the store, and then in the cache.
func (s *Service) change(ctx context.Context, before, after ports.Pause) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := s.states.Change(ctx, before, after)
	if err == nil {
		s.pauses.put(after)
	}
	return err
}

// pauseTasks run one function at a time for each pause.
type pauseTasks struct {
	wg      sync.WaitGroup
	mu      sync.Mutex
	running map[domain.PauseKey]bool
}

func (w *pauseTasks) start(key domain.PauseKey, f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running[key] {
		return
	}
	w.running[key] = true
	w.wg.Go(func() {
		defer func() {
			w.mu.Lock()
			delete(w.running, key)
			w.mu.Unlock()
		}()
		f()
	})
}
