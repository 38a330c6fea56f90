package console_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/console"
)

// counting counts how often the account of the orders is drawn.
func (w *world) counting() *atomic.Int64 {
	n := new(atomic.Int64)
	mail := w.broker.Subscription("mail")
	w.use(account.Parts{
		Orders: func(ctx context.Context) (ports.OutboxAccount, error) {
			n.Add(1)
			return w.store.Orders().Account(ctx)
		},
		Deliveries: w.store.Deliveries(), States: w.store.ChannelStates(),
		DeadLetters: w.store.DeadLetters(), DeadLetterQueue: w.broker.DeadLetterQueue(),
		Channels: []account.Channel{{Name: "mail", Recipients: []string{domain.UserRecipient}, Queue: mail, Subscription: "mail"}},
	})
	return n
}

// The services are asked no more often for many pages than for one, and rarely for none. The
// pages get a bounded number of events together.
func TestOneSamplerForAllPages(t *testing.T) {
	drawn := func(pages int) int64 {
		var n int64
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			draws := w.counting()
			c := w.run()
			for range pages {
				watch(t, c, "")
			}
			draws.Store(0)
			time.Sleep(time.Minute)
			n = draws.Load()
		})
		return n
	}
	if n := drawn(0); n < 11 || n > 13 {
		t.Errorf("without pages the account is drawn %d times a minute, want 12", n)
	}
	for _, pages := range []int{1, 25} {
		if n := drawn(pages); n < 230 || n > 250 {
			t.Errorf("for %d pages the account is drawn %d times a minute, want 4 times a second", pages, n)
		}
	}
	if n := drawn(50); n < 115 || n > 125 {
		t.Errorf("for 50 pages the account is drawn %d times a minute, want 2 times a second", n)
	}
}

// Changes that follow each other closely make one event, at most four a second.
func TestEventsAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := watch(t, w.run(), "")
		first := p.one("snapshot")
		if first.data.Account == nil || first.data.History == nil || first.data.Store.Status != "up" || len(first.data.Channels) != 1 {
			t.Errorf("the snapshot lacks something: %v", first.fields)
		}
		for n := range 1000 { // in 10 s
			w.place(n, 1)
			time.Sleep(10 * time.Millisecond)
		}
		events := p.events()
		if len(events) < 35 || len(events) > 40 {
			t.Errorf("got %d events in 10 s, want at most 4 a second", len(events))
		}
		last := merged(events).data
		if rate := last.Rates.Orders; rate == nil || *rate < 95 || *rate > 105 || last.Account.Orders.Orders < 950 {
			t.Errorf("the rates are %+v, want 100 a second", last.Rates)
		}
		ids := make(map[string]bool)
		for _, e := range append(events, first) {
			ids[e.id] = true
		}
		if len(ids) != len(events)+1 {
			t.Errorf("%d events have %d ids", len(events)+1, len(ids))
		}
	})
}

// If nothing changes, only the points of the history come. An age that grows is no change.
func TestNothingIsSentWhileNothingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.account.DeadLetterQueue = unreadQueue{w.account.DeadLetterQueue, time.Now()}
		w.use(w.account)
		w.record(1, domain.Notification{State: domain.Dead})
		w.place(2, 1) // waits in the queue
		if err := w.store.DeadLetters().Put(t.Context(), ports.DeadLetter{ID: "x", Failure: ports.Failure{LastFailure: time.Now()}}); err != nil {
			t.Fatal(err)
		}
		p := watch(t, w.run(), "")
		time.Sleep(20 * time.Second) // until the rates are known, and the account is uneven no more
		p.events()
		time.Sleep(time.Minute)
		events := p.events()
		if len(events) < 12 || len(events) > 14 { // the account changes its state once
			t.Errorf("got %d events in a minute, want one for each point", len(events))
		}
		fields := slices.Sorted(maps.Keys(events[len(events)-1].fields))
		if diff := cmp.Diff([]string{"at", "instance", "points"}, fields); diff != "" {
			t.Errorf("fields of an event with a point (-want +got):\n%s", diff)
		}
		if n := strings.Count(p.text.String(), "\n:\n"); n < 4 {
			t.Errorf("got %d comments in 80 s, want one each 15 s", n)
		}
	})
}

// unreadQueue has a message that nobody reads.
type unreadQueue struct {
	ports.DeadLetterQueue
	since time.Time
}

func (q unreadQueue) UnreadableDepth(context.Context) (ports.QueueDepth, error) {
	return ports.QueueDepth{Ready: 1, Oldest: q.since}, nil
}

// While the store does not answer from the start, the channels are none yet, and a list all the same.
func TestChannelsAreNotKnownYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.account.States = awayStates{w.account.States}
		w.use(w.account)
		c := w.run()
		if status, body := get(c, "/console/overview"); status != 200 || !strings.Contains(body, `"channels":[],"jobs":[]`) {
			t.Errorf("answered %d %s", status, body)
		}
	})
}

type awayStates struct{ ports.ChannelStates }

func (awayStates) Register(context.Context, ...string) ([]string, error) { return nil, errAway }

// A page that connects again gets the points that it has missed, each once.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.run()
		p := watch(t, c, "")
		points := p.one("snapshot").data.History.Points
		var last string
		collect := func(p *page) {
			for _, e := range p.events() {
				last = e.id
				points = append(points, e.data.Points...)
			}
		}
		time.Sleep(11 * time.Second)
		collect(p)
		for range 3 {
			p.leave()
			w.place(int(time.Now().Unix()), 3)
			time.Sleep(31 * time.Second)
			p = watch(t, c, last)
			time.Sleep(time.Second)
			collect(p)
		}
		p.leave()
		if p.header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("the answer has the headers %v", p.header)
		}
		p = watch(t, c, "")
		var want []string
		for _, point := range p.one("snapshot").data.History.Points {
			want = append(want, point.At)
		}
		var got []string
		for _, point := range points {
			got = append(got, point.At)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) < 20 {
			t.Errorf("points (-history +got):\n%s", diff)
		}
	})
}

// The whole state comes if what a page has missed is not known any more.
func TestResumeFromUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t).run()
		p := watch(t, c, "")
		id := p.one("snapshot").id
		p.leave()
		instance, _, _ := strings.Cut(id, "-")
		for _, last := range []string{"x", "", "-", instance + "-", instance + "-0", instance + "-x", instance + "--1", instance + "-1000000", "other-1", strings.Repeat("9", 1<<10)} {
			p := watch(t, c, last)
			p.one("snapshot")
			p.leave()
		}
		known := watch(t, c, id)
		if events := known.events(); len(events) != 0 {
			t.Errorf("got %d events, want none: nothing was missed", len(events))
		}
		known.leave()
		time.Sleep(16*time.Minute + time.Second) // more than the history has
		p = watch(t, c, id)
		if n := len(p.one("snapshot").data.History.Points); n != 180 {
			t.Errorf("the history has %d points, want 180", n)
		}
	})
}

// A page that receives slowly delays no other, and gets one event with all it has missed.
func TestSlowPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := w.run()
		slow, quick := watch(t, c, ""), watch(t, c, "")
		points := slow.one("snapshot").data.History.Points
		quick.events()
		goOn := slow.slow()
		for n := range 60 {
			w.place(n, 1)
			time.Sleep(time.Second)
		}
		if n := len(quick.events()); n < 60 {
			t.Errorf("the quick page got %d events, want more than one a second", n)
		}
		goOn()
		events := slow.events()
		if len(events) != 2 { // the one that was under way, and the rest
			t.Fatalf("the slow page got %d events, want 2", len(events))
		}
		for _, e := range events {
			points = append(points, e.data.Points...)
		}
		if last := events[1]; last.data.Account.Orders.Orders != 60 || len(points) < 12 || last.data.Channels == nil {
			t.Errorf("the last event has %s, and there are %d points", last.fields["account"], len(points))
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newWorld(t).run()
		var pages []*page
		for range console.MaxStreams {
			pages = append(pages, watch(t, c, ""))
		}
		if p := watch(t, c, ""); p.status != http.StatusServiceUnavailable || p.header.Get("Retry-After") == "" {
			t.Errorf("a page too many is answered with %d %v", p.status, p.header)
		}
		pages[0].leave()
		if p := watch(t, c, ""); p.status != http.StatusOK {
			t.Errorf("the next page is answered with %d, want 200", p.status)
		}
	})
}

// A stream ends after a while, so that access is checked again.
func TestStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := watch(t, newWorld(t).run(), "")
		time.Sleep(10*time.Minute - time.Second)
		select {
		case <-p.done:
			t.Error("the stream has ended early")
		default:
		}
		time.Sleep(2 * time.Second)
		select {
		case <-p.done:
		default:
			t.Error("the stream goes on after 10 minutes")
		}
	})
}

func TestHeadOfEvents(t *testing.T) {
	w := httptest.NewRecorder()
	newWorld(t).console().ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/console/events", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/event-stream" || w.Body.Len() > 0 {
		t.Errorf("answered %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// What does not answer is said, and its numbers are null.
func TestOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		away := new(atomic.Bool)
		orders := w.store.Orders()
		parts := account.Parts{
			Orders: func(ctx context.Context) (ports.OutboxAccount, error) {
				if away.Load() {
					return ports.OutboxAccount{}, errAway
				}
				return orders.Account(ctx)
			},
			Deliveries: awayLog{w.store.Deliveries(), away}, States: w.store.ChannelStates(),
			DeadLetters: awayLetters{w.store.DeadLetters(), away}, DeadLetterQueue: w.broker.DeadLetterQueue(),
		}
		w.use(parts)
		w.parts.Store = pinger(func() error {
			if away.Load() {
				return errAway
			}
			return nil
		})
		w.parts.Progress = w.parts.Store
		p := watch(t, w.run(), "")
		time.Sleep(10 * time.Second)
		p.events()
		away.Store(true)
		time.Sleep(10 * time.Second)
		events := p.events()
		latest := make(map[string]string)
		var points []console.PointView
		for _, e := range events {
			for name, value := range e.fields {
				latest[name] = string(value)
			}
			points = append(points, e.data.Points...)
		}
		const detail = `"detail":"dial tcp 192.0.2.1:27017 for a…@example.com: unavailable"}`
		for name, want := range map[string]string{
			"store": `{"status":"down",` + detail, "progress": `{"status":"stalled",` + detail, "rates": `{"orders":null,"notified":null,"channels":[]}`,
		} {
			if latest[name] != want {
				t.Errorf("%s is %s, want %s", name, latest[name], want)
			}
		}
		if last := points[len(points)-1]; last.Orders != nil || last.Notified != nil || last.Waiting != nil || last.Dead != nil {
			t.Errorf("the latest point is %+v, want nothing", last)
		}
		if !strings.Contains(latest["account"], `"part":"deliveries"`) {
			t.Errorf("the account is %s, want its faults", latest["account"])
		}
		away.Store(false)
		time.Sleep(11 * time.Second)
		events = p.events()
		if last := merged(events).data; last.Rates == nil || last.Rates.Orders == nil || len(last.Account.Faults) > 0 {
			t.Errorf("after the outage the state is %+v", last)
		}
	})
}

type pinger func() error

func (p pinger) Ping(context.Context) error { return p() }

type awayLog struct {
	ports.DeliveryLog
	away *atomic.Bool
}

func (l awayLog) Account(ctx context.Context) ([]ports.DeliveryAccount, error) {
	if l.away.Load() {
		return nil, errAway
	}
	return l.DeliveryLog.Account(ctx)
}

type awayLetters struct {
	ports.DeadLetters
	away *atomic.Bool
}

func (l awayLetters) Account(ctx context.Context) ([]ports.DeadLetterAccount, error) {
	if l.away.Load() {
		return nil, errAway
	}
	return l.DeadLetters.Account(ctx)
}

// An account that takes long is drawn more rarely.
func TestExpensiveAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var draws atomic.Int64
		w.use(account.Parts{
			Orders: func(ctx context.Context) (ports.OutboxAccount, error) {
				draws.Add(1)
				time.Sleep(40 * time.Millisecond)
				return w.store.Orders().Account(ctx)
			},
			Deliveries: w.store.Deliveries(), States: w.store.ChannelStates(),
			DeadLetters: w.store.DeadLetters(), DeadLetterQueue: w.broker.DeadLetterQueue(),
		})
		watch(t, w.run(), "")
		draws.Store(0)
		time.Sleep(time.Minute)
		if n := draws.Load(); n < 28 || n > 45 {
			t.Errorf("an account that takes 40 ms was drawn %d times a minute, want about each 2 s", n)
		}
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		p := watch(t, w.run(), "")
		for n := range 40 {
			w.record(n, domain.Notification{State: domain.Sent})
			time.Sleep(500 * time.Millisecond)
		}
		events := p.events()
		last := merged(events).data.Rates
		if last == nil || *last.Notified < 1.8 || *last.Notified > 2.2 || len(last.Channels) != 1 || *last.Channels[0].Sent != *last.Notified {
			t.Errorf("the rates are %+v, want 2 a second", last)
		}
		time.Sleep(11 * time.Second)
		if last = merged(p.events()).data.Rates; *last.Notified != 0 {
			t.Errorf("the rate is %v, want 0: nothing is sent any more", *last.Notified)
		}
	})
}
