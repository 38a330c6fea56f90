package console

import (
	"context"
	"sync"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/notification"
)

const (
	samplePause = 250 * time.Millisecond // between two samples, at least
	streamPause = 10 * time.Millisecond  // the same, for each stream: all of them get 100 events a second at most
	pointPause  = 5 * time.Second        // between two points of the history, which is drawn without watchers, too
	slowPause   = time.Second            // between two looks at what changes rarely

	// share bounds the time that samples take, while somebody watches, to one part in so many:
	// expensive samples are taken more rarely, down to one in pointPause.
	share = 50

	pingTimeout = time.Second
)

// sampler looks at the services for all pages together.
type sampler struct {
	parts Parts
	feed  *feed

	rates     rates
	nextPoint time.Time
	nextSlow  time.Time
	channels  []notification.ChannelView
	health    [3]HealthView // of the store, the broker and progress
}

// HealthView says whether something works.
type HealthView struct {
	Status string `json:"status"` // up, down or unknown; of progress: moving, stalled or unknown
	Detail string `json:"detail,omitempty"`
}

// run samples until ctx ends.
func (s *sampler) run(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		s.sample(ctx, began)
		s.wait(ctx, began, time.Since(began))
	}
}

// wait waits for the next sample: until the next point, or less if somebody watches.
func (s *sampler) wait(ctx context.Context, began time.Time, took time.Duration) {
	for ctx.Err() == nil {
		due, watching := s.nextPoint, s.feed.watching()
		pause := max(samplePause, time.Duration(watching)*streamPause, share*took)
		if watched := began.Add(min(pause, pointPause)); watching > 0 && watched.Before(due) {
			due = watched
		}
		timer := time.NewTimer(time.Until(due))
		select {
		case <-timer.C:
			return
		case <-s.feed.joined:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// sample draws the state, and publishes it.
func (s *sampler) sample(ctx context.Context, now time.Time) {
	var slow sync.WaitGroup
	if !now.Before(s.nextSlow) {
		s.nextSlow = now.Add(slowPause)
		slow.Go(func() { s.lookAtChannels(ctx) })
		for i, pinger := range []ports.Pinger{s.parts.Store, s.parts.Broker, s.parts.Progress} {
			slow.Go(func() { s.health[i] = ping(ctx, pinger, i == 2) })
		}
	}
	drawn := s.parts.Office.Draw(ctx)
	slow.Wait()
	if ctx.Err() != nil { // what was drawn is not complete
		return
	}
	s.rates.note(drawn)
	view := account.NewView(drawn)
	rates := s.rates.view()
	fields := []field{
		newField("program", s.parts.Program, nil),
		newField("version", s.parts.Version, nil),
		newField("orders_known", s.parts.Orders != nil, nil),
		newField("can_order", s.parts.Place != nil, nil),
		newField("account", view, ageless(view)),
		newField("store", s.health[0], nil),
		newField("broker", s.health[1], nil),
		newField("progress", s.health[2], nil),
		newField("rates", rates, nil),
		newField("channels", s.channels, nil),
		newField("jobs", jobViews(s.parts.Letters.Jobs()), nil),
	}
	var newest []byte
	if !now.Before(s.nextPoint) {
		newest = httpapi.Encode(newPoint(drawn, rates))
		if s.nextPoint = s.nextPoint.Add(pointPause); s.nextPoint.Before(now) {
			s.nextPoint = now.Add(pointPause)
		}
	}
	s.feed.publish(view.At, fields, newest)
}

func (s *sampler) lookAtChannels(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	channels, err := s.parts.Control.Channels(ctx)
	if err != nil { // the store's health says why
		return
	}
	s.channels = make([]notification.ChannelView, len(channels))
	for i, channel := range channels {
		s.channels[i] = notification.NewChannelView(channel)
	}
}

func jobViews(jobs []deadletters.Job) []deadletters.JobView {
	views := make([]deadletters.JobView, len(jobs))
	for i, job := range jobs {
		views[i] = deadletters.NewJobView(job)
	}
	return views
}

func ping(ctx context.Context, pinger ports.Pinger, ofProgress bool) HealthView {
	if pinger == nil {
		return HealthView{Status: "unknown"}
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	err := pinger.Ping(ctx)
	switch {
	case err == nil && ofProgress:
		return HealthView{Status: "moving"}
	case err == nil:
		return HealthView{Status: "up"}
	case ofProgress:
		return HealthView{"stalled", mask.Error(err).Error()}
	}
	return HealthView{"down", mask.Error(err).Error()}
}

// ageless returns the view without what changes although nothing happens.
func ageless(v account.View) account.View {
	v.At = ""
	without := func(b *account.BacklogView) { b.AgeSeconds = 0 }
	if v.Orders != nil {
		orders := *v.Orders
		without(&orders.Waiting)
		v.Orders = &orders
	}
	v.Recipients = clone(v.Recipients, func(r *account.RecipientView) {
		without(&r.Retrying)
		without(&r.Held)
		without(&r.Dead)
	})
	v.Queues = clone(v.Queues, func(q *account.QueueView) { without(&q.Ready) })
	v.Unread = clone(v.Unread, func(q *account.UnreadView) { without(&q.Ready) })
	v.DeadLetters = clone(v.DeadLetters, func(l *account.LettersView) { without(&l.Waiting) })
	if v.DeadLetterQueue != nil {
		queue := *v.DeadLetterQueue
		without(&queue.Ready)
		v.DeadLetterQueue = &queue
	}
	return v
}

// clone returns a copy of the list, whose elements change has changed.
func clone[T any](list []T, change func(*T)) []T {
	list = append([]T(nil), list...)
	for i := range list {
		change(&list[i])
	}
	return list
}
