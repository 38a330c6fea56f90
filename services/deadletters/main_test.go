package deadletters_test

import (
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/internal/apitest"
	"example.com/orderflow/services/notification"
)

// described checks all answers against the description, which the notification service
// serves.
var described = apitest.Load(notification.OpenAPI, func(path string) bool { return strings.HasPrefix(path, "/dead-letters") })

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(apitest.Main{Tests: m, Documents: []*apitest.Document{described}})
}

var discard = slog.New(slog.DiscardHandler)

func newService(t *testing.T, store ports.DeadLetters, queue ports.DeadLetterQueue, log *slog.Logger) *deadletters.Service {
	t.Helper()
	service, err := deadletters.NewService(store, queue, new(memory.OperatorActions), log)
	if err != nil {
		t.Fatal(err)
	}
	return service
}

func newHandler(t *testing.T, service *deadletters.Service) *deadletters.Handler {
	t.Helper()
	handler, err := deadletters.NewHandler(service, discard)
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

func TestConstructorsRefuse(t *testing.T) {
	store, queue := new(memory.DeadLetters), new(memory.Broker).DeadLetterQueue()
	serviceOf := func(store ports.DeadLetters, queue ports.DeadLetterQueue) error {
		_, err := deadletters.NewService(store, queue, new(memory.OperatorActions), discard)
		return err
	}
	handlerOf := func(service *deadletters.Service) error {
		_, err := deadletters.NewHandler(service, discard)
		return err
	}
	tests := []struct {
		name string
		err  error
		want string // empty: no error
	}{
		{"service", serviceOf(store, queue), ""},
		{"service without a store", serviceOf(nil, queue), "dead-letter service needs a store, got nil"},
		{"service without a queue", serviceOf(store, nil), "dead-letter service needs a queue, got nil"},
		{"handler", handlerOf(newService(t, store, queue, discard)), ""},
		{"handler without a service", handlerOf(nil), "dead-letter handler needs a service, got nil"},
		{"handler with a zero service", handlerOf(new(deadletters.Service)), "dead-letter handler needs a service made by NewService, got a zero value"},
	}
	for _, tt := range tests {
		got := ""
		if tt.err != nil {
			got = tt.err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got error %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestNilLogger(t *testing.T) {
	service := newService(t, new(memory.DeadLetters), new(memory.Broker).DeadLetterQueue(), nil)
	if _, err := deadletters.NewHandler(service, nil); err != nil {
		t.Error(err)
	}
}
