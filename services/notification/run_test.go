package notification_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// A slow or failing channel delays no other.
func TestChannelsAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail, hook := newWorld(t), &post{name: "mail"}, &post{name: "hook", took: 15 * time.Second}
		failing := &post{name: "failing"}
		failing.fail(errors.New("busy"))
		slow := w.route(hook)
		slow.Concurrency = 1
		w.start(w.route(mail), slow, w.route(failing))
		began := time.Now()
		events := w.order(600)
		time.Sleep(time.Second)
		mail.checkOnce(t, events)
		for _, s := range mail.sent() {
			if s.at.Sub(began) > 100*time.Millisecond {
				t.Fatalf("sent after %v", s.at.Sub(began))
			}
		}
	})
}

// A receiver that hangs delays no other receiver of its channel.
func TestReceiversAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hook := newWorld(t), &addressed{post{name: "hook"}}
		hook.set(func(m ports.Outgoing) error {
			if m.Address == "a@hanging" {
				time.Sleep(20 * time.Second)
				return errAway
			}
			return nil
		})
		r := w.endpoints(hook, "a@hanging", "b@fine")
		r.Concurrency = 8
		w.start(r)
		w.order(1) // both receivers are known then
		synctest.Wait()
		for range 100 {
			w.order(5)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		fine := 0
		for _, s := range hook.sent() {
			if s.address == "b@fine" {
				fine++
			}
		}
		if fine != 501 {
			t.Errorf("the receiver that works got %d notifications in 12 s, want 501", fine)
		}
		time.Sleep(time.Minute)
		if diffs := len(w.list("hook", domain.Held)); diffs < 490 {
			t.Errorf("%d notifications are held, want nearly all to the other receiver", diffs)
		}
	})
}

// A slow receiver with a backlog delays no other receiver's retries, goes on as fast as it
// can, and the backlog costs the store less and less.
func TestSlowReceiverDelaysNoRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hook, calls := newWorld(t), &addressed{post{name: "hook"}}, new(atomic.Int64)
		refuse := false
		hook.set(func(m ports.Outgoing) error {
			switch {
			case m.Address == "a@slow":
				time.Sleep(10 * time.Second)
			case refuse && m.Attempt == 1:
				return errors.New("busy")
			}
			return nil
		})
		parts := w.parts()
		parts.Deliveries = countedLog{parts.Deliveries, calls}
		r := w.endpoints(hook, "a@slow", "b@fine")
		r.Concurrency = 16
		w.startWith(parts, r)
		w.order(1000)
		time.Sleep(time.Minute)
		refuse = true
		w.order(5)
		time.Sleep(time.Minute)
		fine := 0
		for _, s := range hook.sent() {
			if s.address == "b@fine" {
				fine++
			}
		}
		if fine != 1005 {
			t.Errorf("the other receiver got %d notifications, want all 1005", fine)
		}
		time.Sleep(2 * time.Minute)
		sentBefore, callsBefore := len(hook.sent()), calls.Load()
		time.Sleep(5 * time.Minute)
		if sent := len(hook.sent()) - sentBefore; sent < 150 {
			t.Errorf("the slow receiver got %d notifications in 5 minutes, want about 180", sent)
		}
		if claims := calls.Load() - callsBefore; claims > 5*60*20 {
			t.Errorf("%d notifications were claimed in 5 minutes", claims)
		}
	})
}

// The channel's rate holds, whatever comes, and everything is sent in the end.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		r := w.route(mail)
		r.Rate = 10
		w.start(r)
		events := w.order(1000)
		time.Sleep(50 * time.Second)
		if sent := len(mail.sent()); sent < 450 || sent > 502 {
			t.Errorf("sent %d in 50 s, want nearly 500", sent)
		}
		if n := w.list("mail", domain.Retrying); len(n) > 0 && n[0].Attempt != 0 {
			t.Errorf("waiting for its turn: %+v", n[0])
		}
		time.Sleep(3 * time.Minute)
		mail.checkOnce(t, events)
		times := mail.times()
		for i := range times[:len(times)-11] {
			if d := times[i+11].Sub(times[i]); d < time.Second-10*time.Millisecond {
				t.Fatalf("sent 12 in %v", d)
			}
		}
	})
}

// What waits for its turn goes at the channel's rate, although each takes long.
func TestRateOfSlowReceivers(t *testing.T) {
	for _, rate := range []float64{1.5, 10, 100} {
		synctest.Test(t, func(t *testing.T) {
			w, mail := newWorld(t), &post{name: "mail", took: 500 * time.Millisecond}
			r := w.route(mail)
			r.Rate, r.Concurrency = rate, 128
			w.start(r)
			events := w.order(int(rate * 100))
			time.Sleep(140 * time.Second)
			mail.checkOnce(t, events)
		})
	}
}

type deletable struct{ ports.EventQueue }

func (deletable) DeleteCommand() string { return "delete hook" }

// A channel without a route is named with what it holds, and loses nothing. Its name is
// forgotten once it holds nothing and has no queue.
func TestRemovedChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail, hook := newWorld(t), &post{name: "mail"}, &post{name: "hook"}
		parts := w.parts()
		exists := true
		parts.Queue = func(name string) ports.EventQueue {
			if name == "hook" && !exists {
				return w.broker.Subscription("never-used")
			}
			if name == "hook" {
				return deletable{w.broker.Subscription(name)}
			}
			return w.broker.Subscription(name)
		}
		hook.fail(errors.New("busy"))
		stop := w.startWith(parts, w.route(mail), w.route(hook))
		events := w.order(1)
		time.Sleep(time.Second)
		stop()
		if strings.Contains(w.log.String(), "no configured channel") {
			t.Errorf("logged while all are configured:\n%s", w.log.String())
		}

		stop = w.startWith(parts, w.route(mail))
		events = append(events, w.order(3)...)
		time.Sleep(time.Hour)
		stop()
		stop = w.startWith(parts, w.route(mail))
		for _, want := range []string{
			"a queue belongs to no configured channel, and goes on collecting events; configure the channel, or delete its queue\" channel=hook events=3 delete_command=\"delete hook\"",
			"notifications of a channel that is not configured wait in the delivery log; they go on once it is configured\" channel=hook",
		} {
			if !strings.Contains(w.log.String(), want) {
				t.Errorf("logged, want %q:\n%s", want, w.log.String())
			}
		}
		stop()

		hook.fail(nil)
		stop = w.startWith(parts, w.route(mail), w.route(hook))
		time.Sleep(time.Hour)
		hook.checkOnce(t, events)
		stop()
		exists = false
		w.startWith(parts, w.route(mail))
		if known, err := w.store.ChannelStates().Register(t.Context()); err != nil || !slices.Equal(known, []string{"mail"}) {
			t.Errorf("known at the end: %v, %v", known, err)
		}
	})
}

// Old notifications are deleted, in small steps; what waits stays.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		parts := w.parts()
		parts.Retention = 2 * time.Hour
		r := w.route(mail)
		r.Schedule = notification.Schedule{Base: 10 * time.Hour, Factor: 1, Cap: 10 * time.Hour, Horizon: 100 * time.Hour}
		w.startWith(parts, r)
		mail.fail(errors.New("busy"))
		w.order(1)
		time.Sleep(time.Second)
		mail.fail(nil)
		w.order(1200)
		time.Sleep(2*time.Hour - time.Minute)
		if n := len(w.list("mail")); n != 1201 {
			t.Errorf("%d notifications before their time is over, want 1201", n)
		}
		time.Sleep(15 * time.Minute)
		if n := w.one("mail"); n.State != domain.Retrying {
			t.Errorf("left over: %+v", n)
		}
	})
}

// queueFunc is a queue whose Consume is the function.
type queueFunc func(context.Context) error

func (f queueFunc) Consume(ctx context.Context, _ ports.Handler) error { return f(ctx) }
func (queueFunc) Ping(context.Context) error                           { return nil }
func (queueFunc) Depth(context.Context) (ports.QueueDepth, error)      { return ports.QueueDepth{}, nil }

// A consumer that can't go on ends Run with its error, and the others.
func TestRunReturnsAConsumersError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, refused := newWorld(t), fmt.Errorf("consume: %w", ports.ErrRefused)
		others := make(chan struct{})
		s := must(notification.NewService(w.parts(),
			notification.Route{Channel: &post{name: "mail"}, Queue: queueFunc(func(ctx context.Context) error {
				<-ctx.Done()
				close(others)
				return nil
			})},
			notification.Route{Channel: &post{name: "sms"}, Subscription: "sms", Queue: queueFunc(func(context.Context) error { return refused })},
		))
		if err := s.Run(t.Context()); !errors.Is(err, refused) || !strings.Contains(err.Error(), "channel sms") {
			t.Errorf("got %v", err)
		}
		select {
		case <-others:
		default:
			t.Error("the other consumer was not stopped")
		}
		if err := s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "has run already") {
			t.Errorf("a second run: %v", err)
		}
	})
}

// Run stops soon, even while receivers hang and much waits, and loses nothing.
func TestRunStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		mail.fail(errors.New("busy"))
		stop := w.start(w.route(mail))
		events := w.order(8)
		synctest.Wait()
		mail.fail(nil)
		mail.mu.Lock()
		mail.took = time.Hour
		mail.mu.Unlock()
		time.Sleep(3 * time.Second) // they are being tried again
		began := time.Now()
		stop()
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("stopped after %v", took)
		}
		for _, n := range w.list("mail") {
			if n.State != domain.Retrying || n.Attempt != 1 {
				t.Errorf("recorded %+v", n)
			}
		}
		mail.mu.Lock()
		mail.took = 0
		mail.mu.Unlock()
		w.start(w.route(mail))
		time.Sleep(5 * time.Second)
		mail.checkOnce(t, events)
	})
}
