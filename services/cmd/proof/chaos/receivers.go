package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"example.com/orderflow/services/cmd/proof/harness"
)

// receiver is what a channel sends to. All notifiers reach it through one proxy.
type receiver struct {
	*harness.Receiver
	link *proxy
}

// channels are those with receivers.
var channels = []string{harness.Email, harness.Webhook}

// slowAnswer is the time that a slow receiver takes for an answer.
const slowAnswer = 2 * time.Second

// readBytes reads what has arrived, as one message.
func readBytes(r *bufio.Reader) ([]byte, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	bytes := make([]byte, r.Buffered())
	_, err := r.Read(bytes)
	return bytes, err
}

// newPlainTap reads a connection that has no steps.
func newPlainTap() tap {
	none := func([]byte) step { return "" }
	return tap{readBytes, none, none}
}

// startReceivers starts the receivers with their proxies.
func (t *trial) startReceivers() error {
	t.receivers = make(map[string]*receiver)
	for channel, start := range map[string]func() (*harness.Receiver, error){
		harness.Email: harness.StartMailServer, harness.Webhook: harness.StartWebhookServer,
	} {
		server, err := start()
		if err != nil {
			return err
		}
		r := &receiver{Receiver: server}
		t.receivers[channel] = r
		if r.link, err = newProxy(server.Addr, newPlainTap); err != nil {
			return err
		}
	}
	return nil
}

// closeReceivers ends the receivers and their proxies.
func (t *trial) closeReceivers() {
	for _, r := range t.receivers {
		r.Kill()
		if r.link != nil {
			r.link.close()
		}
	}
}

// notifierEnv returns the environment of the notifiers.
func (t *trial) notifierEnv() []string {
	return harness.NotifierEnv(t.receivers[harness.Email].link.addr(), t.receivers[harness.Webhook].link.addr())
}

// importContacts stores the users' contacts.
func (t *trial) importContacts(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	env := append(harness.ServerEnv(t.servers.database.URL, t.servers.Broker), t.notifierEnv()...)
	return harness.ImportContacts(ctx, t.folder, env, contacts(t.users(), t.receivers[harness.Webhook].link.addr()))
}

// killReceiver kills the channel's receiver, until the function that it returns is
// called.
func (t *trial) killReceiver(channel string) (bringBack func() error) {
	over := t.begin("killed", channel)
	t.receivers[channel].Kill()
	return func() error {
		defer over()
		return t.receivers[channel].Start()
	}
}

// receiverFaults are the faults of each receiver.
func receiverFaults() (faults []fault) {
	for _, channel := range channels {
		faults = append(faults,
			onReceiver(channel, "killed", true, 15*time.Second, func(r *receiver, on bool) error {
				if on {
					r.Kill()
					return nil
				}
				return r.Start()
			}),
			onReceiver(channel, "slow", false, 20*time.Second, func(r *receiver, on bool) error {
				r.Delay(map[bool]time.Duration{true: slowAnswer}[on])
				return nil
			}),
			onReceiver(channel, "refuses", false, 10*time.Second, func(r *receiver, on bool) error {
				r.Refuse(on)
				return nil
			}),
			onReceiver(channel, "link cut", true, 0, func(r *receiver, on bool) error {
				r.link.cut()
				return nil
			}),
			onReceiver(channel, "link delayed", false, 20*time.Second, func(r *receiver, on bool) error {
				r.link.slow.Store(on)
				return nil
			}),
			onReceiver(channel, "link black-holed", true, 20*time.Second, func(r *receiver, on bool) error {
				r.link.hold(on)
				return nil
			}))
	}
	return faults
}

// onReceiver is a fault of the channel's receiver, which suffers one at a time. It may
// lose answers, which excuses repeats.
func onReceiver(channel, what string, losesAnswers bool, most time.Duration, disturb func(r *receiver, on bool) error) fault {
	f := fault{title: channel + " " + what, most: most}
	if most > 0 {
		f.least = time.Second
	}
	f.make = func(t *trial, ctx context.Context, f fault) error {
		t.alone[channel].Lock()
		defer t.alone[channel].Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		scopes := []string{f.title}
		if losesAnswers {
			scopes = append(scopes, channel)
		}
		defer t.begin(what, scopes...)()
		if err := disturb(t.receivers[channel], true); err != nil {
			return err
		}
		harness.Sleep(ctx, f.length)
		return disturb(t.receivers[channel], false)
	}
	return f
}

// awaitChannels waits until the channels' queues exist: each gets the events that are
// published from then on.
func (t *trial) awaitChannels(ctx context.Context) (err error) {
	if !await(ctx, time.Minute, func() bool {
		_, err = t.servers.depths()
		return err == nil
	}) {
		return fmt.Errorf("the channels have no queues: %w", err)
	}
	earlier := &t.account.earlier
	for before := (backlog{orders: -1}); *earlier != before || before.waits(); { // until nothing moves
		before = *earlier
		if harness.Sleep(ctx, time.Second); ctx.Err() != nil {
			return ctx.Err()
		}
		if *earlier, err = t.backlog(ctx); err != nil {
			return err
		}
	}
	if t.load != nil {
		t.load.forgetAnswered()
	}
	t.account.since = time.Now()
	return nil
}
