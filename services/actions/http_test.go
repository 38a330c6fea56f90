package actions_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/internal/apitest"
	"example.com/orderflow/services/notification"
)

var described = apitest.Load(notification.OpenAPI, func(path string) bool { return path == "/actions" })

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(apitest.Main{Tests: m, Documents: []*apitest.Document{described}})
}

var discard = slog.New(slog.DiscardHandler)

func must[T any](made T, err error) T {
	if err != nil {
		panic(err)
	}
	return made
}

func TestOpenAPI(t *testing.T) {
	h := must(actions.NewHandler(new(memory.OperatorActions), discard))
	if diff := cmp.Diff(h.Operations(), described.Operations()); diff != "" {
		t.Errorf("operations (-served +documented):\n%s", diff)
	}
	for _, e := range described.Examples() {
		if w := described.Do(h, e.Request()); w.Code != http.StatusOK {
			t.Errorf("%s: the example is refused: %d %s", e.Name, w.Code, w.Body)
		}
	}
	described.CheckRefusals(t, h)
}

func TestConstructorsRefuse(t *testing.T) {
	if _, err := actions.NewHandler(nil, discard); err == nil || err.Error() != "handler of operators' actions needs a store of operators' actions, got nil" {
		t.Errorf("handler without a store: error %v", err)
	}
	if _, err := actions.NewJournal(nil, discard); err == nil || err.Error() != "journal needs a store of operators' actions, got nil" {
		t.Errorf("journal without a store: error %v", err)
	}
	must(actions.NewHandler(new(memory.OperatorActions), nil))
	must(actions.NewJournal(new(memory.OperatorActions), nil))
}

func TestHandler(t *testing.T) {
	store := new(memory.OperatorActions)
	at := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
	for n := range 4 {
		id := fmt.Sprintf("0192f0c1-2d3e-7f4a-8b5c-00000000000%d", n)
		err := store.Begin(t.Context(), ports.OperatorAction{ID: id, At: at.Add(time.Duration(n) * time.Minute), By: []string{"ann", "bob"}[n%2], Action: actions.Pause, Target: "email", Reason: "why"})
		if err == nil && n == 1 {
			err = store.End(t.Context(), id, ports.ActionEnd{EndedAt: at.Add(time.Hour), Outcome: ports.ActionFailed, Count: 2, Error: "not found"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h := must(actions.NewHandler(store, discard))
	at1 := regexp.QuoteMeta(at.Add(time.Minute).Format("2006-01-02T15:04:05.000Z"))
	for target, want := range map[string]string{
		"": `^200 {"data":\[{"id":"[^"]*3".*{"id":"[^"]*0","at":"[^"]*","by":"ann","action":"pause","target":"email","reason":"why","count":0,"outcome":"unknown"}\],"has_more":false,"next_cursor":null}`,
		"?by=bob&until=" + at.Add(2*time.Minute).Format(time.RFC3339):       `^200 {"data":\[{"id":"[^"]*1","at":"` + at1 + `","ended_at":"[^"]*","by":"bob","action":"pause","target":"email","reason":"why","count":2,"outcome":"failed","error":"not found"}\],`,
		"?since=" + at.Add(2*time.Minute).Format(time.RFC3339) + "&limit=1": `^200 {"data":\[{"id":"[^"]*3"[^\]]*\],"has_more":true,"next_cursor":"[^"]+"}`,
		"?action=replay":                `^200 {"data":\[\],`,
		"?action=other&since=x&until=y": `^422 .*"field":"action","detail":"must be one of replay, .*"field":"since","detail":"must be a time.*"field":"until"`,
		"?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z": `^422 .*must be later than since`,
		"?limit=0": `^422 .*"field":"limit"`, "?cursor=x": `^422 .*"field":"cursor"`, "?by=": `^422 .*leave it out`, "?who=ann": `^422 .*is not a parameter`,
	} {
		w := described.Do(h, httptest.NewRequest("GET", "/actions"+target, nil))
		if got := fmt.Sprint(w.Code, " ", w.Body); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("GET /actions%s: got %s, want %s", target, got, want)
		}
	}
}

func TestHandlerWithoutItsStore(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
	}{{fmt.Errorf("secret: %w", ports.ErrUnavailable), 503}, {errors.New("secret"), 500}} {
		store := mocks.NewMockOperatorActions(gomock.NewController(t))
		store.EXPECT().List(gomock.Any(), gomock.Any()).Return(ports.OperatorActionPage{}, tt.err)
		w := described.Do(must(actions.NewHandler(store, discard)), httptest.NewRequest("GET", "/actions", nil))
		if w.Code != tt.status || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("got %d %s, want %d", w.Code, w.Body, tt.status)
		}
	}
	store := mocks.NewMockOperatorActions(gomock.NewController(t))
	store.EXPECT().List(gomock.Any(), gomock.Any()).Return(ports.OperatorActionPage{Unreadable: 2}, nil)
	w := described.Do(must(actions.NewHandler(store, discard)), httptest.NewRequest("GET", "/actions", nil))
	if w.Header().Get("Unreadable-Records") != "2" {
		t.Errorf("got %v", w.Header())
	}
}
