package notification_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

var errKilled = errors.New("the process was killed")

// process is a notifier that is killed before or after one of its calls: that call and
// all later ones do nothing, and tell it nothing.
type process struct {
	mu   sync.Mutex
	at   string // the step at which it is killed, such as "before record"
	skip int    // how often it survives the step
	dead bool
	kill func()
}

// call makes the call unless the process is dead.
func (p *process) call(name string, f func() error) error {
	if p.step("before " + name) {
		return errKilled
	}
	err := f()
	if p.step("after " + name) {
		return errKilled
	}
	return err
}

func (p *process) step(name string) (dead bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name == p.at && !p.dead {
		if p.skip--; p.skip < 0 {
			p.dead = true
			p.kill()
		}
	}
	return p.dead
}

type mortalLog struct {
	ports.DeliveryLog
	p *process
}

func (l mortalLog) Claim(ctx context.Context, key domain.NotificationKey) (claim ports.DeliveryClaim, err error) {
	err = l.p.call("claim", func() error { claim, err = l.DeliveryLog.Claim(ctx, key); return err })
	return mortalClaim{claim, l.p}, err
}

func (l mortalLog) ClaimDue(ctx context.Context, channel string, limit int) ([]ports.WaitingDelivery, error) {
	return l.claim("claim due", func() ([]ports.WaitingDelivery, error) { return l.DeliveryLog.ClaimDue(ctx, channel, limit) })
}

func (l mortalLog) ClaimHeld(ctx context.Context, by domain.PauseKey, limit int) ([]ports.WaitingDelivery, error) {
	return l.claim("claim held", func() ([]ports.WaitingDelivery, error) { return l.DeliveryLog.ClaimHeld(ctx, by, limit) })
}

func (l mortalLog) claim(name string, claim func() ([]ports.WaitingDelivery, error)) (claimed []ports.WaitingDelivery, err error) {
	if l.p.step("alive") {
		return nil, errKilled
	}
	if claimed, err = claim(); len(claimed) > 0 && l.p.step("after "+name) {
		return nil, errKilled
	}
	for i := range claimed {
		claimed[i].Claim = mortalClaim{claimed[i].Claim, l.p}
	}
	return claimed, err
}

type mortalClaim struct {
	ports.DeliveryClaim
	p *process
}

func (c mortalClaim) Record(ctx context.Context, n domain.Notification, event domain.Event) error {
	return c.p.call("record", func() error { return c.DeliveryClaim.Record(ctx, n, event) })
}

func (c mortalClaim) Release(ctx context.Context) error {
	return c.p.call("release", func() error { return c.DeliveryClaim.Release(ctx) })
}

type mortalStates struct {
	ports.ChannelStates
	p *process
}

func (s mortalStates) Pause(ctx context.Context, pause ports.Pause) error {
	return s.p.call("pause", func() error { return s.ChannelStates.Pause(ctx, pause) })
}

func (s mortalStates) Change(ctx context.Context, before, after ports.Pause) error {
	return s.p.call("change", func() error { return s.ChannelStates.Change(ctx, before, after) })
}

func (s mortalStates) End(ctx context.Context, before ports.Pause) error {
	return s.p.call("end", func() error { return s.ChannelStates.End(ctx, before) })
}

type mortalLetters struct {
	ports.DeadLetterQueue
	p *process
}

func (q mortalLetters) SetAside(ctx context.Context, subscription string, event domain.Event, failure ports.Failure) error {
	return q.p.call("set aside", func() error { return q.DeadLetterQueue.SetAside(ctx, subscription, event, failure) })
}

type mortalChannel struct {
	*post
	p *process
}

func (c mortalChannel) Send(ctx context.Context, m ports.Outgoing) (answer ports.Answer, err error) {
	err = c.p.call("send", func() error { answer, err = c.post.Send(ctx, m); return err })
	return answer, err
}

// Wherever a notifier dies, the next one sends what was not sent. Only what was sent and
// not recorded is sent twice.
func TestNotifierDies(t *testing.T) {
	busy, no := errors.New("busy"), ports.Permanent(errors.New("no"))
	scenarios := []struct {
		name    string
		answers []error // of the first tries; then nil, or the last one if it is permanent
		dead    bool    // in the end
		steps   []string
	}{
		{"accepted", nil, false, []string{"after claim", "before send", "after send", "before record", "after record"}},
		{"refused once", []error{busy}, false, []string{"after claim due", "before send", "after send", "before record", "after record"}},
		{"rejected", []error{no}, true, []string{"after claim", "before send", "after send", "before record", "after record"}},
		{"rejected later", []error{busy, no}, true, []string{"before set aside", "after set aside", "before record", "after record"}},
		{"away", []error{errAway, errAway, errAway, errAway}, false, []string{"before pause", "after pause", "before change", "after change", "after claim held", "after send", "before record", "after record", "before end", "after end"}},
	}
	for _, tt := range scenarios {
		for _, step := range tt.steps {
			for skip := range 2 {
				t.Run(tt.name+" "+step, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						w, mail := newWorld(t), &post{name: "mail"}
						tries := 0
						mail.set(func(ports.Outgoing) error {
							mail.mu.Lock()
							defer mail.mu.Unlock()
							if tries++; tries <= len(tt.answers) {
								return tt.answers[tries-1]
							}
							if tt.dead {
								return tt.answers[len(tt.answers)-1]
							}
							return nil
						})
						p := &process{at: step, skip: skip}
						parts := w.parts()
						parts.Deliveries, parts.States = mortalLog{parts.Deliveries, p}, mortalStates{parts.States, p}
						parts.DeadLetters = mortalLetters{parts.DeadLetters, p}
						s := must(notification.NewService(parts, w.route(mortalChannel{mail, p})))
						ctx, kill := context.WithTimeout(t.Context(), 3*time.Minute)
						defer kill()
						p.kill = kill
						done := make(chan error, 1)
						go func() { done <- s.Run(ctx) }()
						synctest.Wait()
						events := w.order(1)
						if err := <-done; err != nil {
							t.Error(err)
						}

						w.start(w.route(mail)) // the next process
						time.Sleep(15 * time.Minute)
						n := w.one("mail")
						if tt.dead {
							if letters := w.broker.DeadLetters(); n.State != domain.Dead || len(letters) == 0 || len(letters) > 2 {
								t.Errorf("recorded %+v, %d dead letters", n, len(letters))
							}
							return
						}
						times := len(mail.sent())
						unrecorded := step == "after send" || step == "before record"
						if n.State != domain.Sent || times < 1 || times > 2 || times == 2 && !unrecorded {
							t.Errorf("sent %d times; recorded %+v", times, n)
						}
						for _, sent := range mail.sent() {
							if sent.id != string(events[0].ID) {
								t.Errorf("sent with the id %s", sent.id)
							}
						}
						if pauses := w.pauses(); len(pauses) > 0 {
							t.Errorf("pauses at the end: %v", pauses)
						}
					})
				})
			}
		}
	}
}
