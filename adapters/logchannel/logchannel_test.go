package logchannel_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
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
	mu  sync.Mutex
	ids []domain.EventID
}

func (r *receiver) Handle(_ context.Context, line slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	line.Attrs(func(a slog.Attr) bool {
		if a.Key == "event_id" {
			r.ids = append(r.ids, domain.EventID(a.Value.String()))
		}
		return true
	})
	return nil
}

func (r *receiver) received() []domain.EventID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]domain.EventID(nil), r.ids...)
}

func TestChannel(t *testing.T) {
	porttest.Run(t, porttest.ChannelClauses(), func(testing.TB) porttest.Channel {
		r := new(receiver)
		return porttest.Channel{Channel: logchannel.New(r), Received: r.received}
	})
}

func newEvent(t *testing.T) domain.Event {
	t.Helper()
	o, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 2, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return o.Created()
}

func TestSendIgnoresHandlersLevel(t *testing.T) {
	var out bytes.Buffer
	handler := slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelError})
	if err := logchannel.New(handler).Send(t.Context(), newEvent(t)); err != nil {
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
	err := logchannel.New(slog.NewJSONHandler(fullDisk{}, nil)).Send(t.Context(), newEvent(t))
	if !errors.Is(err, errFull) || ports.IsPermanent(err) || !ports.IsPostponed(err) {
		t.Errorf("got %v, want it marked by Postpone", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := logchannel.New(slog.DiscardHandler).Send(ctx, newEvent(t)); !ports.IsPostponed(err) {
		t.Errorf("with an ended context: got %v, want it marked by Postpone", err)
	}
}
