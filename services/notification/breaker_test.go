package notification_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// endpoints returns a route to endpoints that are named as the parts of their addresses
// before the @.
func (w *world) endpoints(c *addressed, addresses ...string) notification.Route {
	r := w.route(c)
	for _, address := range addresses {
		name, _, _ := strings.Cut(address, "@")
		r.Endpoints = append(r.Endpoints, notification.Endpoint{Name: name, Address: address})
	}
	return r
}

// A receiver is paused after three attempts that did not reach it, or ten that it
// refused, in a row. Nobody else is.
func TestBreakerOpens(t *testing.T) {
	busy := errors.New("busy")
	tests := []struct {
		name     string
		failures []error // of one attempt after the other; nil: accepted
		want     []string
	}{
		{"unreachable", []error{errAway, errAway, errAway}, []string{"hook bad broken"}},
		{"less", []error{errAway, errAway, nil, errAway, errAway}, nil},
		{"refused", []error{busy, busy, busy, busy, busy, busy, busy, busy, busy, busy}, []string{"hook bad broken"}},
		{"refused less", []error{busy, busy, busy, busy, busy, busy, busy, busy, busy, nil, busy}, nil},
		{"rejected", []error{errAway, errAway, ports.Permanent(errors.New("no")), errAway}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, hook := newWorld(t), &addressed{post{name: "hook"}}
				w.start(w.endpoints(hook, "a@bad", "b@good"))
				for _, failure := range tt.failures {
					hook.set(func(m ports.Outgoing) error {
						if m.Address == "a@bad" {
							return failure
						}
						return nil
					})
					w.order(1)
					synctest.Wait()
				}
				if diff := cmp.Diff(tt.want, w.pauses()); diff != "" {
					t.Errorf("pauses (-want +got):\n%s", diff)
				}
				good := 0
				for _, s := range hook.sent() {
					if s.address == "b@good" {
						good++
					}
				}
				if good != len(tt.failures) {
					t.Errorf("the other receiver got %d notifications, want %d", good, len(tt.failures))
				}
			})
		})
	}
}

// Probes come later and later, one at a time; the first success lets the rest go.
func TestBreakerProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		w.start(w.route(mail))
		mail.fail(errAway)
		events := w.order(3)
		synctest.Wait()
		opened := time.Now()
		first := mail.tried()
		time.Sleep(5 * time.Minute)
		var gaps []time.Duration
		last := opened
		for _, at := range mail.times()[first:] {
			gaps = append(gaps, at.Sub(last).Round(time.Second))
			last = at
		}
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
		for i := range want {
			want[i] *= time.Second
		}
		near := func(got, want time.Duration) bool { return got >= want/2 && got <= want+2*time.Second }
		for i, gap := range gaps {
			if i < len(want) && !near(gap, want[i]) {
				t.Errorf("probes after %v, want half to all of %v", gaps, want)
				break
			}
		}
		if len(gaps) < 8 || len(gaps) > 10 {
			t.Errorf("%d probes in 5 minutes: %v", len(gaps), gaps)
		}

		mail.fail(nil)
		for range 65 {
			if time.Sleep(time.Second); len(mail.sent()) == len(events) {
				break
			}
		}
		mail.checkOnce(t, events)
		if diff := cmp.Diff([]string{"mail draining"}, w.pauses()); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
		events = append(events, w.order(1)...) // does not wait for the drain's end
		synctest.Wait()
		mail.checkOnce(t, events)
		time.Sleep(2 * time.Minute)
		if p := w.pauses(); len(p) != 0 {
			t.Errorf("pauses at the end: %v", p)
		}
	})
}

// When many receivers fail at once, their probes don't come at once.
func TestProbesSpread(t *testing.T) {
	const count, per = 200, 100 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		w, hook := newWorld(t), &addressed{post{name: "hook"}}
		var addresses []string
		for n := range count {
			addresses = append(addresses, fmt.Sprintf("e%d@host%d", n, n))
		}
		w.start(w.endpoints(hook, addresses...))
		hook.set(func(ports.Outgoing) error { return errAway })
		w.order(3)
		synctest.Wait()
		time.Sleep(3 * time.Minute) // the delays have grown
		first, from := hook.tried(), time.Now()
		time.Sleep(4 * time.Minute)
		bursts := make(map[time.Duration]int)
		for _, at := range hook.times()[first:] {
			bursts[at.Sub(from)/per]++
		}
		total, most := 0, 0
		for _, n := range bursts {
			total, most = total+n, max(most, n)
		}
		t.Logf("%d probes, %d at most in %v", total, most, per)
		if total < 3*count || total > 6*count || most > count/10 {
			t.Errorf("%d probes, %d at most in %v; want %d to %d, and at most %d", total, most, per, 3*count, 6*count, count/10)
		}
	})
}

// No probe comes before the time that the last one was asked to wait, up to an hour.
func TestProbesHonourRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		w.start(w.route(mail))
		mail.fail(ports.RetryAfter(errAway, 10*time.Minute))
		w.order(20)
		synctest.Wait()
		first := mail.tried()
		time.Sleep(2 * time.Hour)
		probes := mail.times()[first:]
		if len(probes) < 10 || len(probes) > 12 {
			t.Errorf("%d probes in two hours, want one each 10 minutes", len(probes))
		}
		for i := range probes[1:] {
			if gap := probes[i+1].Sub(probes[i]); gap < 10*time.Minute-time.Millisecond {
				t.Errorf("probe %d came after %v", i+1, gap)
			}
		}
	})
}

// While a receiver is paused, a new event waits for the next probe, even if nothing was
// held before.
func TestBreakerWithoutHeldNotifications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		w.start(w.route(mail))
		mail.fail(errors.New("busy"))
		w.order(10)
		synctest.Wait()
		if diff := cmp.Diff([]string{"mail broken"}, w.pauses()); diff != "" {
			t.Fatalf("pauses (-want +got):\n%s", diff)
		}
		mail.fail(ports.Permanent(errors.New("no"))) // the ten die
		time.Sleep(20 * time.Minute)
		if waiting := w.list("mail", domain.Retrying, domain.Held); len(waiting) != 0 {
			t.Errorf("%d wait: %+v", len(waiting), waiting[0])
		}
		mail.fail(nil)
		events := w.order(1)
		time.Sleep(time.Minute)
		mail.checkOnce(t, events)
		time.Sleep(2 * time.Hour)
		if p := w.pauses(); len(p) != 0 {
			t.Errorf("pauses at the end: %v", p)
		}
	})
}

// A receiver that fails again while it is drained is paused again, and nothing is lost.
func TestBreakerOpensWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		w.start(w.route(mail))
		mail.fail(errAway)
		events := w.order(500)
		time.Sleep(10 * time.Second)
		accepts := 50
		mail.set(func(ports.Outgoing) error {
			if accepts--; accepts < 0 {
				return errAway
			}
			return nil
		})
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"mail broken"}, w.pauses()); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
		mail.fail(nil)
		time.Sleep(3 * time.Minute)
		mail.checkOnce(t, events)
	})
}

// Breakers, pauses and what they hold survive all notifiers.
func TestPausesSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail, sms := newWorld(t), &post{name: "mail"}, &post{name: "sms"}
		manual := ports.Pause{PauseKey: domain.PauseKey{Channel: "sms"}, Kind: ports.Manual, By: "ann", Reason: "maintenance", Since: domain.TruncateTime(time.Now())}
		if err := w.store.ChannelStates().Pause(t.Context(), manual); err != nil {
			t.Fatal(err)
		}
		stop := w.start(w.route(mail), w.route(sms))
		mail.fail(errAway)
		events := w.order(20)
		time.Sleep(10 * time.Second)
		stop()

		tried := mail.tried()
		w.start(w.route(mail), w.route(sms))
		events = append(events, w.order(20)...)
		time.Sleep(2 * time.Hour)
		if probes := mail.tried() - tried; probes > 130 || sms.tried() > 0 {
			t.Errorf("%d probes, %d tries of the paused channel after the restart", probes, sms.tried())
		}
		if held := w.list("sms", domain.Held); len(held) != 40 || held[0].Attempt != 0 || held[0].Reason != "maintenance" || held[0].HeldBy != manual.PauseKey {
			t.Errorf("%d notifications are held, want 40", len(held))
		}
		mail.fail(nil)
		w.resume("sms", "")
		time.Sleep(2 * time.Minute)
		mail.checkOnce(t, events)
		sms.checkOnce(t, events)
		if p := w.pauses(); len(p) != 0 {
			t.Errorf("pauses at the end: %v", p)
		}
		if n := strings.Count(fmt.Sprint(w.alerts.kinds()), "stuck sms"); n != 1 {
			t.Errorf("%d alerts about the pause that lasts, want one: %v", n, w.alerts.kinds())
		}
	})
}

// A breaker's probes find nothing to send while somebody has paused the whole channel. What
// the breaker holds is sent nevertheless, soon after the channel was resumed.
func TestBreakerWhileTheChannelIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hook := newWorld(t), &addressed{post{name: "hook"}}
		w.start(w.endpoints(hook, "a@one"))
		hook.fail(errAway)
		w.order(4)
		time.Sleep(50 * time.Minute)
		w.order(300)
		time.Sleep(5 * time.Minute)
		pause := ports.Pause{PauseKey: domain.PauseKey{Channel: "hook"}, Kind: ports.Manual, Since: domain.TruncateTime(time.Now())}
		if err := w.store.ChannelStates().Pause(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute)
		hook.fail(nil)
		w.resume("hook", "")
		time.Sleep(3 * time.Minute)
		if sent, held := len(hook.sent()), len(w.list("hook", domain.Held)); sent != 304 || held != 0 {
			t.Errorf("after the channel was resumed: sent %d, held %d by %v", sent, held, w.pauses())
		}
	})
}

// A pause that an operator makes holds for every notifier within seconds, and one of a
// receiver holds for that receiver only.
func TestManualPauseOfAReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hook := newWorld(t), &addressed{post{name: "hook"}}
		for range 3 {
			w.start(w.endpoints(hook, "a@one", "b@two"))
		}
		pause := ports.Pause{PauseKey: domain.PauseKey{Channel: "hook", Receiver: "one"}, Kind: ports.Manual, Since: domain.TruncateTime(time.Now())}
		if err := w.store.ChannelStates().Pause(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		w.order(30)
		time.Sleep(time.Minute)
		if sent, held := len(hook.sent()), len(w.list("hook", domain.Held)); sent != 30 || held != 30 {
			t.Errorf("sent %d, held %d, want 30 each", sent, held)
		}
		w.resume("hook", "one")
		time.Sleep(time.Minute)
		if sent, held := len(hook.sent()), len(w.list("hook", domain.Held)); sent != 60 || held != 0 {
			t.Errorf("after it was resumed: sent %d, held %d", sent, held)
		}
	})
}

// A receiver that wants nothing any more gets nothing any more, until it is resumed. A
// user's notifications are skipped. Those to a configured endpoint are held, because its
// 410 may be a mistake that must lose none.
func TestReceiverIsGone(t *testing.T) {
	for _, tt := range []struct {
		name         string
		route        func(*world, *addressed) notification.Route
		recorded     map[string]int
		reason, log  string
		afterResumed int // sent to both receivers
	}{
		{
			"of a user", func(w *world, hook *addressed) notification.Route {
				r := w.users(hook, "a@one")
				r.Endpoints = w.endpoints(hook, "b@two").Endpoints
				return r
			}, map[string]int{"user dead": 1, "user skipped": 2, "b sent": 3},
			"the receiver wants no notifications any more, since 2000-01-01T00:00:00Z", "to users are skipped", 5,
		},
		{
			"of the configuration", func(w *world, hook *addressed) notification.Route { return w.endpoints(hook, "a@one", "b@two") },
			map[string]int{"a dead": 1, "a held": 2, "b sent": 3},
			"the receiver wants no notifications any more, since 2000-01-01T00:00:00Z; it is in the configuration, so its notifications are held until it is resumed",
			"those to configured endpoints are held", 7,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, hook := newWorld(t), &addressed{post{name: "hook"}}
				w.start(tt.route(w, hook))
				hook.set(func(m ports.Outgoing) error {
					if m.Address == "a@one" {
						return ports.Gone(errors.New("410 Gone"))
					}
					return nil
				})
				w.order(1)
				synctest.Wait()
				hook.fail(nil)
				w.order(2)
				time.Sleep(3 * time.Hour)
				if diff := cmp.Diff([]string{"hook one off"}, w.pauses()); diff != "" {
					t.Errorf("pauses (-want +got):\n%s", diff)
				}
				states := make(map[string]int)
				for _, n := range w.list("hook") {
					states[n.Recipient+" "+string(n.State)]++
					if (n.State == domain.Skipped || n.State == domain.Held) && n.Reason != tt.reason {
						t.Errorf("%s because %q", n.State, n.Reason)
					}
				}
				if diff := cmp.Diff(tt.recorded, states); diff != "" {
					t.Errorf("recorded (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff([]string{"paused hook one", "given up hook one"}, w.alerts.kinds()); diff != "" {
					t.Errorf("alerts (-want +got):\n%s", diff)
				}
				if !strings.Contains(w.log.String(), tt.log) {
					t.Errorf("the log does not say %q:\n%s", tt.log, w.log.String())
				}
				if letters := w.broker.DeadLetters(); len(letters) != 1 {
					t.Errorf("%d dead letters, want one", len(letters))
				}
				w.resume("hook", "one")
				time.Sleep(2 * time.Second)
				w.order(1)
				time.Sleep(time.Minute)
				if sent := len(hook.sent()); sent != tt.afterResumed {
					t.Errorf("sent %d, want %d", sent, tt.afterResumed)
				}
			})
		})
	}
}

// users returns a route to the users' addresses. Ann has this one.
func (w *world) users(c *addressed, address string) notification.Route {
	w.t.Helper()
	contact := ports.Contact{UserID: "ann", Addresses: map[string]string{c.Name(): address}}
	if err := w.store.Contacts().Put(context.Background(), contact); err != nil {
		w.t.Fatal(err)
	}
	r := w.route(c)
	r.ToUsers = true
	return r
}

// A dead letter may be replayed as soon as its receiver was resumed: the notifier must
// not skip its notification by the pause that it has read before.
func TestReplayAtOnceAfterResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, hook := newWorld(t), &addressed{post{name: "hook"}}
		w.start(w.users(hook, "a@one"))
		hook.fail(ports.Gone(errors.New("410 Gone")))
		events := w.order(1)
		time.Sleep(1300 * time.Millisecond)
		hook.fail(nil)
		letters := w.broker.DeadLetters()
		if len(letters) != 1 {
			t.Fatalf("%d dead letters, want one", len(letters))
		}
		w.resume("hook", "one")
		if err := w.broker.DeadLetterQueue().Replay(t.Context(), letters[0]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := w.one("hook"); n.State != domain.Sent || len(hook.sent()) != len(events) {
			t.Errorf("the replayed notification is %s: %s", n.State, n.Reason)
		}
	})
}

// The log says whether a receiver answers at all.
func TestLogOfAnOutage(t *testing.T) {
	busy := &post{name: "busy"} // answers with a code
	busy.fail(errAway)
	for want, c := range map[string]ports.Channel{
		"the receiver takes nothing at the moment; its notifications wait": busy,
		"the receiver can't be reached; its notifications wait":            slow(time.Minute),
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.start(w.route(c))
			w.order(1)
			time.Sleep(25 * time.Second)
			if log := w.log.String(); strings.Count(log, "its notifications wait") != 1 || !strings.Contains(log, want) {
				t.Errorf("want %q, got:\n%s", want, log)
			}
		})
	}
}

// What a receiver that works again had held is sent within seconds, and then its pause
// ends soon.
func TestDrainEndsSoon(t *testing.T) {
	for _, held := range []int{1, 40} {
		synctest.Test(t, func(t *testing.T) {
			w, mail := newWorld(t), &post{name: "mail"}
			w.start(w.route(mail))
			mail.fail(errAway)
			events := w.order(held)
			for end := time.Now().Add(time.Minute); len(w.pauses()) == 0 && time.Now().Before(end); { // the third failure: the schedule has jitter
				time.Sleep(100 * time.Millisecond)
			}
			mail.fail(nil)
			w.resume("mail", "")
			time.Sleep(5 * time.Second)
			mail.checkOnce(t, events)
			if diff := cmp.Diff([]string{"mail draining"}, w.pauses()); diff != "" {
				t.Errorf("pauses (-want +got):\n%s", diff)
			}
			time.Sleep(20 * time.Second)
			if p := w.pauses(); len(p) != 0 {
				t.Errorf("pauses 25 s after the receiver was resumed: %v", p)
			}
		})
	}
}

// A drain does not end before what a dead notifier has claimed was sent.
func TestDrainWaitsForClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		w.start(w.route(mail))
		mail.fail(errAway)
		events := w.order(3)
		time.Sleep(1500 * time.Millisecond)
		if claimed, err := w.store.Deliveries().ClaimHeld(t.Context(), domain.PauseKey{Channel: "mail"}, 1); len(claimed) != 1 || err != nil {
			t.Fatal(claimed, err)
		}
		mail.fail(nil)
		w.resume("mail", "")
		time.Sleep(3 * time.Minute)
		mail.checkOnce(t, events)
		if p := w.pauses(); len(p) != 0 {
			t.Errorf("pauses at the end: %v", p)
		}
	})
}

// stuckStates hang when the pauses are read.
type stuckStates struct {
	ports.ChannelStates
	stuck *atomic.Bool
}

func (s stuckStates) Pauses(ctx context.Context) ([]ports.Pause, error) {
	if s.stuck.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.ChannelStates.Pauses(ctx)
}

// A notifier that can't read the pauses holds nothing by one that may be over: nobody
// would drain it any more.
func TestOldPauseHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail, stuck := newWorld(t), &post{name: "mail"}, new(atomic.Bool)
		pause := ports.Pause{PauseKey: domain.PauseKey{Channel: "mail"}, Kind: ports.Manual, Since: domain.TruncateTime(time.Now())}
		if err := w.store.ChannelStates().Pause(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
		parts := w.parts()
		parts.States = stuckStates{parts.States, stuck}
		w.startWith(parts, w.route(mail))
		stuck.Store(true)
		time.Sleep(10 * time.Second)
		if err := w.store.ChannelStates().End(t.Context(), pause); err != nil {
			t.Fatal(err)
		}
		events := w.order(1)
		time.Sleep(10 * time.Second)
		stuck.Store(false)
		time.Sleep(time.Minute)
		mail.checkOnce(t, events)
	})
}
