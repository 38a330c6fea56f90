package notification_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/internal/apitest"
	"example.com/orderflow/services/notification"
)

// The documents of the two handlers. Other packages serve dead letters, the account and the
// console, and the programs serve the log level and profiles.
var (
	public = apitest.Load(notification.OpenAPI, isPublic)
	admin  = apitest.Load(notification.OpenAPI, func(path string) bool {
		return !isPublic(path) && !strings.HasPrefix(path, "/dead-letters") && !strings.HasPrefix(path, "/debug/") && path != "/log-level" && path != "/metrics" && path != "/account" && path != "/actions" && path != "/status" && path != "/session" && path != "/" && !strings.HasPrefix(path, "/console/")
	})
)

func isPublic(path string) bool {
	return slices.Contains([]string{"/notifications", "/livez", "/readyz", "/openapi.yaml"}, path)
}

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(apitest.Main{Tests: m, Documents: []*apitest.Document{public, admin}})
}

// do sends the request to the handler, and checks the answer against its document.
func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	if _, ok := h.(*notification.AdminHandler); ok {
		return admin.Do(h, r)
	}
	return public.Do(h, r)
}

var discard = slog.New(slog.DiscardHandler)

// must returns a constructor's value, and panics if the constructor failed.
func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}

// newLog returns a mock whose claims last long enough for NewService.
func newLog(control *gomock.Controller) *mocks.MockDeliveryLog {
	log := mocks.NewMockDeliveryLog(control)
	log.EXPECT().ClaimLease().Return(memory.DefaultDeliveryLease).AnyTimes()
	return log
}

func newEvent(t testing.TB) domain.Event {
	t.Helper()
	o, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", "Laptop", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return o.Created()
}

// partsOf returns parts in memory around the delivery log.
func partsOf(deliveries ports.DeliveryLog, log *slog.Logger) notification.Parts {
	return notification.Parts{
		Deliveries: deliveries, States: new(memory.ChannelStates), Contacts: new(memory.Contacts),
		DeadLetters: (&memory.Broker{Logger: discard}).DeadLetterQueue(), Log: log,
	}
}

// handlerOf returns the handler of a service with one channel.
func handlerOf(deliveries ports.DeliveryLog, log *slog.Logger, channel ports.Channel) ports.Handler {
	return must(notification.NewService(partsOf(deliveries, log), notification.Route{Channel: channel})).Handler(channel.Name())
}

// channel counts the notifications that it sends, and fails with a test's errors.
type channel struct {
	name string
	mu   sync.Mutex
	errs []error // of the next sends; sends after those succeed
	sent int
	took time.Duration // duration of a send
}

func (c *channel) Name() string { return c.name }

func (c *channel) Send(context.Context, ports.Outgoing) (ports.Answer, error) {
	time.Sleep(c.took)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.errs) > 0 {
		err := c.errs[0]
		c.errs = c.errs[1:]
		return ports.Answer{}, err
	}
	c.sent++
	return ports.Answer{}, nil
}
