package actions_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/mock/gomock"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/mocks"
	"example.com/orderflow/services/actions"
)

// An entry is stored before the act, and ends with its count and its error, without
// personal data, also if the caller has gone.
func TestJournalDo(t *testing.T) {
	store := new(memory.OperatorActions)
	journal := must(actions.NewJournal(store, discard))
	long := strings.Repeat("\u00fc ", 200)
	for _, tt := range []struct {
		entry actions.Entry
		count int
		err   error
		want  ports.OperatorAction
	}{
		{
			actions.Entry{Action: actions.Replay, By: "ann", Target: "all", Reason: "asked by ann.lee@example.com"}, 3, nil,
			ports.OperatorAction{By: "ann", Action: "replay", Target: "all", Reason: "asked by a\u2026@example.com", ActionEnd: ports.ActionEnd{Outcome: "done", Count: 3}},
		},
		{
			actions.Entry{Action: actions.Pause, Target: "a\nb" + long, Reason: long}, 0, fmt.Errorf("pause x: %w to bob@example.com", errors.New("refused")),
			ports.OperatorAction{
				By: "unknown", Action: "pause", Target: "a b" + long[:3*126] + "\u2026", Reason: long[:3*127] + "\u00fc\u2026",
				ActionEnd: ports.ActionEnd{Outcome: "failed", Error: "pause x: refused to b\u2026@example.com"},
			},
		},
		{
			actions.Entry{Action: actions.DeleteContact, By: "ann", Target: actions.User("bob")}, 0, fmt.Errorf("delete contact of bob: %w", ports.ErrNotFound),
			ports.OperatorAction{By: "ann", Action: "delete_contact", Target: "user#81b637d8", ActionEnd: ports.ActionEnd{Outcome: "failed", Error: "not found"}},
		},
		{
			actions.Entry{Action: actions.Resume, By: "ann", Target: "mail, receiver bob@example.com"}, 0, errors.New("not paused"),
			ports.OperatorAction{By: "ann", Action: "resume", Target: "mail, receiver b\u2026@example.com", ActionEnd: ports.ActionEnd{Outcome: "failed", Error: "not paused"}},
		},
		{
			actions.Entry{Action: actions.PutContact, By: "ann"}, 0, fmt.Errorf("put bob: %w", ports.ErrUnavailable),
			ports.OperatorAction{By: "ann", Action: "put_contact", ActionEnd: ports.ActionEnd{Outcome: "failed", Error: "the store or the broker was unavailable"}},
		},
		{
			actions.Entry{Action: actions.PutContact, By: "ann"}, 0, &domain.InvalidError{Fields: []domain.FieldError{{Field: "bob", Reason: "bob"}}},
			ports.OperatorAction{By: "ann", Action: "put_contact", ActionEnd: ports.ActionEnd{Outcome: "failed", Error: "a record or a value can't be used; the log has the error"}},
		},
		{
			actions.Entry{Action: actions.Forget, By: "ann"}, 1, fmt.Errorf("bob: %w", context.Canceled),
			ports.OperatorAction{By: "ann", Action: "forget", ActionEnd: ports.ActionEnd{Outcome: "failed", Count: 1, Error: "the request was cancelled"}},
		},
	} {
		latest := func() ports.OperatorAction {
			page, err := store.List(t.Context(), ports.OperatorActionQuery{Limit: 1})
			if err != nil || len(page.Actions) != 1 {
				t.Fatalf("%d actions, error %v", len(page.Actions), err)
			}
			return page.Actions[0]
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := journal.Do(ctx, tt.entry, func(context.Context) (int, error) {
			if got := latest(); got.Action != tt.want.Action || got.Outcome != ports.ActionUnknown || !got.EndedAt.IsZero() {
				t.Errorf("during %s: %+v", tt.entry.Action, got)
			}
			cancel()
			return tt.count, tt.err
		})
		if err != tt.err {
			t.Errorf("%s: error %v, want %v", tt.entry.Action, err, tt.err)
		}
		got := latest()
		if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreFields(ports.OperatorAction{}, "ID", "At", "EndedAt")); diff != "" || got.EndedAt.Before(got.At) {
			t.Errorf("%s (-want +got):\n%s", tt.entry.Action, diff)
		}
	}
}

// What can't be recorded is not done. If its end can't be recorded, it is done, and logged.
func TestJournalWithoutItsStore(t *testing.T) {
	down := fmt.Errorf("secret@example.com: %w", ports.ErrUnavailable)
	store := mocks.NewMockOperatorActions(gomock.NewController(t))
	var log bytes.Buffer
	journal := must(actions.NewJournal(store, slog.New(slog.NewTextHandler(&log, nil))))
	store.EXPECT().Begin(gomock.Any(), gomock.Any()).Return(down)
	err := journal.Do(t.Context(), actions.Entry{Action: actions.Pause}, func(context.Context) (int, error) {
		t.Error("it was done")
		return 0, nil
	})
	if !errors.Is(err, ports.ErrUnavailable) || !strings.HasPrefix(err.Error(), "pause: nothing was done, because it could not be recorded: ") {
		t.Errorf("error %v", err)
	}
	store.EXPECT().Begin(gomock.Any(), gomock.Any()).Return(nil)
	store.EXPECT().End(gomock.Any(), gomock.Any(), gomock.Any()).Return(down)
	done := false
	err = journal.Do(t.Context(), actions.Entry{Action: actions.Pause}, func(context.Context) (int, error) { done = true; return 1, nil })
	if err != nil || !done || !strings.Contains(log.String(), "was not recorded") || strings.Contains(log.String(), "secret@") {
		t.Errorf("done: %v, error %v, logged %s", done, err, log.String())
	}
}

func TestWithoutUser(t *testing.T) {
	user := actions.User("ann")
	for text, want := range map[string]string{
		"": "", "ann": user, "for ann, who left (ann)": "for " + user + ", who left (" + user + ")", "annual plan of joann": "annual plan of joann",
	} {
		if got := actions.WithoutUser(text, "ann"); got != want {
			t.Errorf("WithoutUser(%q) is %q, want %q", text, got, want)
		}
	}
	if got := actions.WithoutUser("text", ""); got != "text" {
		t.Errorf("without an id: %q", got)
	}
}
