package notification_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Whatever receivers do, and whoever pauses, resumes and restarts meanwhile: in the end
// each notification was sent once, or is dead or skipped, and nothing is paused.
func TestAnyOrderOfEvents(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 0))
				w, hook := newWorld(t), &addressed{post{name: "hook"}}
				route := w.endpoints(hook, "a@one", "b@two", "c@two")
				answers := map[string]error{} // by receiver
				hook.set(func(m ports.Outgoing) error {
					hook.mu.Lock()
					defer hook.mu.Unlock()
					return answers[hook.Receiver(m.Address)]
				})
				outcomes := []error{
					nil, nil, errAway, errAway, errors.New("busy"), ports.Permanent(errors.New("no")),
					ports.RetryAfter(errAway, time.Minute), ports.RetryAfter(errors.New("busy"), time.Minute), ports.Gone(errors.New("gone")),
				}
				notifiers := []func(){w.start(route), w.start(route), w.start(route)}
				var events []domain.Event
				pauseKeys := []domain.PauseKey{{Channel: "hook"}, {Channel: "hook", Receiver: "one"}, {Channel: "hook", Receiver: "two"}}
				for range 60 {
					switch random.IntN(6) {
					case 0, 1:
						events = append(events, w.order(1+random.IntN(30))...)
					case 2, 3:
						hook.mu.Lock()
						answers[[]string{"one", "two"}[random.IntN(2)]] = outcomes[random.IntN(len(outcomes))]
						hook.mu.Unlock()
					case 4:
						i := random.IntN(len(notifiers))
						notifiers[i]()
						notifiers[i] = w.start(route)
					case 5:
						key := pauseKeys[random.IntN(len(pauseKeys))]
						if random.IntN(2) == 0 {
							w.resume(key.Channel, key.Receiver)
							break
						}
						err := w.store.ChannelStates().Pause(t.Context(), ports.Pause{PauseKey: key, Kind: ports.Manual, Since: domain.TruncateTime(time.Now())})
						if err != nil && !errors.Is(err, ports.ErrExists) {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Duration(random.ExpFloat64() * float64(20*time.Second)))
				}
				hook.fail(nil)
				for _, key := range pauseKeys {
					w.resume(key.Channel, key.Receiver)
				}
				time.Sleep(3 * time.Hour)

				sent := make(map[string]int)
				for _, s := range hook.sent() {
					sent[s.id]++
				}
				all, dead := w.list("hook"), 0
				if len(all) != 3*len(events) {
					t.Errorf("%d notifications of %d events to 3 recipients", len(all), len(events))
				}
				for _, n := range all {
					want := 0
					switch n.State {
					case domain.Sent:
						want = 1
					case domain.Dead:
						dead++
					case domain.Retrying, domain.Held:
						t.Errorf("still waits: %+v", n)
					}
					if got := sent[n.Key().String()]; got != want {
						t.Errorf("sent %d times, recorded %+v", got, n)
					}
				}
				if letters := len(w.broker.DeadLetters()); dead > 0 && (letters == 0 || letters > dead) {
					t.Errorf("%d dead letters of %d dead notifications", letters, dead)
				}
				if pauses := w.pauses(); len(pauses) > 0 {
					t.Errorf("pauses at the end: %v", pauses)
				}
			})
		})
	}
}
