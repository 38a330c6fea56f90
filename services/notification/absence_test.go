package notification_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// A receiver that is away for a weekend costs nothing but time.
func TestReceiverIsAwayForDays(t *testing.T) {
	for _, away := range []time.Duration{25 * time.Hour, 60 * time.Hour} {
		t.Run(away.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, mail := newWorld(t), &post{name: "mail"}
				w.start(w.route(mail))
				mail.fail(errAway)
				const batches, size = 5, 100
				var events []domain.Event
				for range batches {
					events = append(events, w.order(size)...)
					time.Sleep(away / batches)
				}
				if held := w.list("mail", domain.Held); len(held) != len(events) {
					t.Errorf("%d notifications are held, want %d", len(held), len(events))
				}
				for _, n := range w.list("mail") {
					if n.Attempt != 0 || !n.First.IsZero() || len(n.Attempts) > domain.MaxAttempts || n.NextTry.Before(time.Now()) {
						t.Fatalf("recorded %+v; no attempt counts", n)
					}
				}
				if minutes := int(away / time.Minute); mail.tried() > minutes*11/10+100 {
					t.Errorf("tried %d times in %d minutes", mail.tried(), minutes)
				}

				mail.fail(nil)
				back := time.Now()
				time.Sleep(2 * time.Minute)
				mail.checkOnce(t, events)
				perSecond := make(map[time.Duration]int)
				for _, s := range mail.sent() {
					if s.attempt != 1 {
						t.Errorf("sent as attempt %d", s.attempt)
					}
					perSecond[s.at.Sub(back).Truncate(time.Second)]++
				}
				for second, n := range perSecond {
					if n > 201 {
						t.Errorf("sent %d in second %v, want a bounded rate", n, second)
					}
				}
				if p := w.pauses(); len(p) != 0 {
					t.Errorf("pauses at the end: %v", p)
				}
				if diff := cmp.Diff([]string{"paused mail", "stuck mail", "back mail"}, w.alerts.kinds()); diff != "" {
					t.Errorf("alerts (-want +got):\n%s", diff)
				}
				if lines := strings.Count(w.log.String(), "\n"); lines > int(away/time.Minute)+50 {
					t.Errorf("logged %d lines", lines)
				}
			})
		})
	}
}

// An absence does not count towards the horizon of a notification that was refused
// before. It is dead after as much time of refusals as without the absence.
func TestAbsenceAfterARefusal(t *testing.T) {
	for name, away := range map[string]func(*world, *post){
		"out of reach": func(_ *world, mail *post) { mail.fail(errAway) },
		"paused": func(w *world, _ *post) {
			pause := ports.Pause{PauseKey: domain.PauseKey{Channel: "mail"}, Kind: ports.Manual, Since: domain.TruncateTime(time.Now())}
			if err := w.store.ChannelStates().Pause(context.Background(), pause); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, mail := newWorld(t), &post{name: "mail"}
				r := w.route(mail)
				r.Schedule = notification.Schedule{Base: time.Minute, Factor: 1, Cap: time.Minute, Horizon: 10 * time.Minute}
				w.start(r)
				mail.fail(errors.New("busy"))
				began := domain.TruncateTime(time.Now())
				w.order(1)
				time.Sleep(2*time.Minute + 30*time.Second)
				if n := w.one("mail"); n.State != domain.Retrying || n.Attempt != 3 {
					t.Fatalf("recorded %+v, want three refusals", n)
				}
				away(w, mail)
				time.Sleep(72 * time.Hour)
				mail.fail(errors.New("busy"))
				if name == "paused" {
					w.resume("mail", "")
				}
				time.Sleep(2 * time.Minute)
				if n := w.one("mail"); n.State != domain.Retrying || n.Attempt < 4 {
					t.Errorf("%s after %d refusals: the absence counted", n.State, n.Attempt)
				}
				time.Sleep(12 * time.Minute)
				if n := w.one("mail"); n.State != domain.Dead || n.Attempt < 9 || n.Attempt > 12 {
					t.Errorf("%s after %d refusals, want it dead after the horizon", n.State, n.Attempt)
				}
				if letters := w.broker.DeadLetters(); len(letters) != 1 || name == "paused" && !letters[0].Failure.FirstFailure.Equal(began) {
					t.Errorf("dead letters %+v, want one that failed at %v first", letters, began)
				}
			})
		})
	}
}

// Twelve notifiers on one store try no more often than one, and send everything once.
func TestTwelveNotifiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		for range 12 {
			w.start(w.route(mail))
		}
		mail.fail(errAway)
		events := w.order(100)
		time.Sleep(2 * time.Second) // all know of the pause by now
		first := mail.tried()
		if first > 100 {
			t.Errorf("tried %d times before the pause", first)
		}
		time.Sleep(2 * time.Hour)
		if probes := mail.tried() - first; probes < 100 || probes > 135 {
			t.Errorf("probed %d times in two hours, want about once a minute", probes)
		}
		mail.fail(nil)
		time.Sleep(3 * time.Minute)
		mail.checkOnce(t, events)
		if diff := cmp.Diff([]string{"paused mail", "stuck mail", "back mail"}, w.alerts.kinds()); diff != "" {
			t.Errorf("alerts (-want +got):\n%s", diff)
		}
	})
}

// The times of the tries stand in the log: several notifiers follow one schedule.
func TestScheduleIsShared(t *testing.T) {
	for _, notifiers := range []int{1, 12} {
		synctest.Test(t, func(t *testing.T) {
			w, mail := newWorld(t), &post{name: "mail"}
			for range notifiers {
				w.start(w.route(mail))
			}
			mail.fail(errors.New("busy"))
			began := time.Now()
			w.order(1)
			time.Sleep(time.Hour)
			var tries []time.Duration
			for _, at := range mail.times() {
				tries = append(tries, at.Sub(began).Truncate(time.Second))
			}
			near := func(got, want time.Duration) bool { return got >= want && got <= want+5*time.Second }
			want := []time.Duration{0, time.Second, 11 * time.Second, 111 * time.Second, 671 * time.Second}
			if !slices.EqualFunc(tries, want, near) {
				t.Errorf("%d notifiers tried at %v, want about %v", notifiers, tries, want)
			}
			if n := w.one("mail"); n.State != domain.Dead || n.Attempt != 5 || len(n.Attempts) != 5 {
				t.Errorf("recorded %+v", n)
			}
			letters := w.broker.DeadLetters()
			if len(letters) != 1 {
				t.Fatalf("%d dead letters, want one", len(letters))
			}
			f := letters[0].Failure
			if letters[0].Subscription != "mail" || f.Attempts != 5 || f.LastFailure.Sub(f.FirstFailure) < 671*time.Second || !strings.HasPrefix(f.Reason, "busy (channel mail, send)") {
				t.Errorf("dead letter %+v", letters[0])
			}
			if diff := cmp.Diff([]string{"given up mail"}, w.alerts.kinds()); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// A dead notification is sent when its dead letter is replayed, once.
func TestReplayOfADeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		w.start(w.route(mail))
		mail.fail(ports.Permanent(errors.New("no such user")))
		events := w.order(1)
		time.Sleep(time.Minute)
		letters := w.broker.DeadLetters()
		if n := w.one("mail"); n.State != domain.Dead || len(letters) != 1 || mail.tried() != 1 {
			t.Fatalf("recorded %+v, %d letters, %d tries", n, len(letters), mail.tried())
		}
		mail.fail(errors.New("busy"))
		for range 2 { // the second replay changes nothing
			if err := w.broker.DeadLetterQueue().Replay(t.Context(), letters[0]); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := w.one("mail"); n.State != domain.Retrying || n.Attempt != 1 || len(n.Attempts) != 2 {
			t.Errorf("after the replay: %+v; want the schedule from the start, and all attempts", n)
		}
		mail.fail(nil)
		time.Sleep(time.Minute)
		mail.checkOnce(t, events)
		if n := w.one("mail"); len(n.Attempts) != 3 || n.Attempts[0].Outcome != domain.Rejected {
			t.Errorf("in the end: %+v; want all attempts", n)
		}
	})
}

// Many dead letters that are replayed at once wait for the channel's rate. None is given
// up again before it was tried.
func TestReplayOfManyDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, mail := newWorld(t), &post{name: "mail"}
		r := w.route(mail)
		stop := w.start(r)
		mail.fail(ports.Permanent(errors.New("no such user")))
		events := w.order(100)
		time.Sleep(time.Minute)
		stop()
		letters := w.broker.DeadLetters()
		if len(letters) != len(events) {
			t.Fatalf("%d dead letters, want %d", len(letters), len(events))
		}
		mail.fail(nil)
		r.Rate = 5
		w.start(r)
		for _, letter := range letters {
			if err := w.broker.DeadLetterQueue().Replay(t.Context(), letter); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Minute)
		mail.checkOnce(t, events)
	})
}

// A receiver's wish is honoured: no try comes before it.
func TestRetryAfter(t *testing.T) {
	tests := []struct {
		err        error
		asked      time.Duration
		from, upTo time.Duration
	}{
		{errors.New("slow down"), 2 * time.Minute, 2 * time.Minute, 2*time.Minute + 2*time.Second},
		{errors.New("slow down"), time.Hour, time.Hour, time.Hour + 2*time.Second}, // after the horizon: the last try
		{errors.New("slow down"), 48 * time.Hour, 24 * time.Hour, 24*time.Hour + 2*time.Second},
		{errors.New("slow down"), time.Millisecond, time.Second, 3 * time.Second},
		{errors.New("slow down"), -time.Hour, time.Second, 3 * time.Second},
		{ports.Postpone(errors.New("maintenance")), 10 * time.Minute, 10 * time.Minute, 10*time.Minute + 2*time.Second},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.err, tt.asked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, mail := newWorld(t), &post{name: "mail"}
				w.start(w.route(mail))
				began := time.Now()
				mail.fail(ports.RetryAfter(tt.err, tt.asked))
				w.order(1)
				synctest.Wait()
				mail.fail(nil)
				time.Sleep(tt.upTo)
				sent := mail.sent()
				if len(sent) != 1 {
					t.Fatalf("sent %d times", len(sent))
				}
				if after := sent[0].at.Sub(began); after < tt.from || after > tt.upTo {
					t.Errorf("sent after %v, want %v to %v", after, tt.from, tt.upTo)
				}
			})
		})
	}
}
