package logchannel_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/orderflow/adapters/logchannel"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

// receiver is a handler that keeps the event_id of each line.
type receiver struct {
	slog.Handler
	mu    sync.Mutex
	ids   []string
	err   error // what Handle returns, instead of writing
	hangs bool
}

func (r *receiver) Handle(ctx context.Context, line slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.hangs:
		r.mu.Unlock()
		<-ctx.Done()
		r.mu.Lock()
		return ctx.Err()
	case r.err != nil:
		return r.err
	}
	line.Attrs(func(a slog.Attr) bool {
		if a.Key == "event_id" {
			r.ids = append(r.ids, a.Value.String())
		}
		return true
	})
	return nil
}

func (r *receiver) received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.ids)
}

// become returns a function that changes what the receiver does.
func (r *receiver) become(err error, hangs bool) func() {
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err, r.hangs = err, hangs
	}
}

func TestChannel(t *testing.T) {
	porttest.Run(t, porttest.ChannelClauses(), func(testing.TB) porttest.Channel {
		r := new(receiver)
		return porttest.Channel{
			Channel:  logchannel.New(r),
			Received: r.received,
			Faults:   []porttest.ReceiverFault{{Name: "a full disk", Begin: r.become(errFull, false), Outcome: domain.Unreachable}},
			Hang:     r.become(nil, true),
			Heal:     r.become(nil, false),
		}
	})
}

func newMessage(t *testing.T) ports.Outgoing {
	t.Helper()
	o, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 2, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	event := o.Created()
	return ports.Outgoing{ID: string(event.ID), Event: event, Attempt: 1}
}

func TestSendIgnoresHandlersLevel(t *testing.T) {
	var out bytes.Buffer
	handler := slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelError})
	if _, err := logchannel.New(handler).Send(t.Context(), newMessage(t)); err != nil {
		t.Fatal(err)
	}
	const want = `,"level":"INFO","msg":"Received order","event_id":"0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234-created","order_id":"0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234","user_id":"123","product":"Laptop","quantity":2}` + "\n"
	if got := out.String(); !strings.HasPrefix(got, `{"time":"`) || !strings.HasSuffix(got, want) {
		t.Errorf("got %s, want it to end with %s", got, want)
	}
}

type fullDisk struct{}

var errFull = errors.New("no space left on device")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestSendMarksErrorsAsPostponed(t *testing.T) {
	_, err := logchannel.New(slog.NewJSONHandler(fullDisk{}, nil)).Send(t.Context(), newMessage(t))
	if !errors.Is(err, errFull) || ports.IsPermanent(err) || !ports.IsPostponed(err) {
		t.Errorf("got %v, want it marked by Postpone", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := logchannel.New(slog.DiscardHandler).Send(ctx, newMessage(t)); !ports.IsPostponed(err) {
		t.Errorf("with an ended context: got %v, want it marked by Postpone", err)
	}
}
