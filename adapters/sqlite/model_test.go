package sqlite

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

// Ids and texts that a database easily confuses: with each other, with the end of a text,
// or with text of another character set.
var oddTexts = []string{"", "a", "A", "a ", "a\x00", "a\x00b", "\x00", "\xff", "\xff\xfe", "\u00e4", "a\u0308", "'; --", "%", "_", "a%"}

const oddOrder = "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"

// Any sequence of calls has the same results as in memory.
func TestDeadLettersAsInMemory(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	ctx := t.Context()
	ids := rapid.SampledFrom(append(oddTexts, oddOrder, oddOrder+"-", oddOrder+"-created", oddOrder+"-\xff", oddOrder+".created"))
	text := rapid.OneOf(rapid.SampledFrom(oddTexts), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 8), func(b []byte) string { return string(b) }))
	reason := rapid.SampledFrom([]string{"", "a", "A", "ab", "a\x00b", "%", "a_b", "\u00e4", "\U0001F6D2", "\"\\\n"}) // valid UTF-8, as a log has it
	state := rapid.SampledFrom([]ports.DeadLetterState{ports.Waiting, ports.Replayed, ports.Discarded})
	at := rapid.Map(rapid.IntRange(0, 5), func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Millisecond) })

	eventType := rapid.SampledFrom([]string{"", "a", "A", "a\n", "order.created"})
	anyQuery := func(t *rapid.T) ports.DeadLetterQuery {
		query := ports.DeadLetterQuery{Limit: rapid.IntRange(1, 4).Draw(t, "limit")}
		for name, choose := range map[string]func(){
			"state":        func() { query.State = state.Draw(t, "state") },
			"subscription": func() { query.Subscription = new(text.Draw(t, "subscription")) },
			"type":         func() { query.EventType = eventType.Draw(t, "type") },
			"user":         func() { query.UserID = rapid.SampledFrom([]string{"ann", "Ann"}).Draw(t, "user") },
			"order":        func() { query.OrderID = oddOrder },
			"reason":       func() { query.Reason = rapid.SampledFrom(append(oddTexts, "ab")).Draw(t, "reason") },
			"group":        func() { query.Group = ports.ReasonGroup(reason.Draw(t, "group")) },
			"from":         func() { query.From = at.Draw(t, "from") },
			"to":           func() { query.To = at.Draw(t, "to").Add(time.Microsecond) },
		} {
			if rapid.IntRange(0, 3).Draw(t, "by "+name) == 0 {
				choose()
			}
		}
		return query
	}

	rapid.Check(t, func(t *rapid.T) {
		spoil(t, s, "DELETE FROM dead_letters")
		want, got := new(memory.DeadLetters), s.DeadLetters()
		same := sameAnswers(t, cmpopts.IgnoreFields(ports.DeadLetterRecord{}, "SettledAt"))
		list := func(store ports.DeadLetters, query ports.DeadLetterQuery) (all []ports.DeadLetterRecord, err error) {
			for {
				page, err := store.List(ctx, query)
				all = append(all, page.Records...)
				if query.Cursor = page.NextCursor; err != nil || query.Cursor == "" {
					return all, err
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				letter := ports.DeadLetter{
					ID: ids.Draw(t, "id"), Subscription: text.Draw(t, "subscription"),
					Message: ports.Message{ID: text.Draw(t, "message"), Headers: map[string]string{text.Draw(t, "name"): text.Draw(t, "value")}, Body: []byte(text.Draw(t, "body"))},
					Failure: ports.Failure{Reason: reason.Draw(t, "reason"), Attempts: 1, FirstFailure: at.Draw(t, "first"), LastFailure: at.Draw(t, "last")},
				}
				if rapid.Bool().Draw(t, "of ann") {
					letter.Message.Body = []byte(`{"user_id":"ann"}`)
					letter.Message.Headers[wire.HeaderType] = eventType.Draw(t, "type")
				}
				same("put", nil, nil, want.Put(ctx, letter), got.Put(ctx, letter))
			},
			"settle": func(t *rapid.T) {
				id, to, by := ids.Draw(t, "id"), state.Draw(t, "state"), text.Draw(t, "by")
				wanted, wantErr := want.Get(ctx, id)
				have, err := got.Get(ctx, id)
				same("get", wanted, have, wantErr, err)
				same("settle", nil, nil, want.Settle(ctx, wanted, to, by), got.Settle(ctx, have, to, by))
				if wanted.State != to { // the second time, the record has changed
					same("settle again", nil, nil, want.Settle(ctx, wanted, to, by), got.Settle(ctx, have, to, by))
				}
			},
			"list": func(t *rapid.T) {
				query := anyQuery(t)
				wanted, wantErr := list(want, query)
				have, err := list(got, query)
				same("list", wanted, have, wantErr, err)
			},
			"groups": func(t *rapid.T) {
				query := anyQuery(t)
				wanted, wantErr := want.Groups(ctx, query)
				have, err := got.Groups(ctx, query)
				same("groups", wanted, have, wantErr, err)
			},
			"forget": func(t *rapid.T) {
				wanted, wantErr := want.Forget(ctx, "ann")
				have, err := got.Forget(ctx, "ann")
				same("forget", wanted, have, wantErr, err)
			},
		})
	})
}

// validTexts are the odd texts in valid UTF-8, which callers check.
var validTexts = slices.DeleteFunc(slices.Clone(oddTexts), func(s string) bool { return s[:min(len(s), 1)] == "\xff" })

// sameAnswers returns a function that compares what memory and the file answer.
func sameAnswers(t *rapid.T, options ...cmp.Option) func(what string, wanted, have any, wantErr, err error) {
	options = append(options, cmpopts.EquateEmpty())
	return func(what string, wanted, have any, wantErr, err error) {
		t.Helper()
		if !sameError(wantErr, err) {
			t.Fatalf("%s: error %v, want %v", what, err, wantErr)
		}
		if diff := cmp.Diff(wanted, have, options...); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
	}
}

func TestOperatorActionsAsInMemory(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	ctx := t.Context()
	ids := rapid.SampledFrom(append(oddTexts, "1", "2", "3"))
	text := rapid.SampledFrom(validTexts)
	recently := time.Now().UTC().Truncate(time.Second)
	at := rapid.Map(rapid.IntRange(0, 5), func(n int) time.Time { return recently.Add(time.Duration(n) * time.Millisecond) })
	outcome := rapid.SampledFrom([]ports.ActionOutcome{ports.ActionDone, ports.ActionFailed})

	rapid.Check(t, func(t *rapid.T) {
		spoil(t, s, "DELETE FROM operator_actions")
		want, got := new(memory.OperatorActions), s.OperatorActions()
		same := sameAnswers(t)
		t.Repeat(map[string]func(*rapid.T){
			"begin": func(t *rapid.T) {
				action := ports.OperatorAction{
					ID: ids.Draw(t, "id"), At: at.Draw(t, "at"), By: text.Draw(t, "by"), Action: text.Draw(t, "action"),
					Target: text.Draw(t, "target"), Reason: text.Draw(t, "reason"),
				}
				same("begin", nil, nil, want.Begin(ctx, action), got.Begin(ctx, action))
			},
			"end": func(t *rapid.T) {
				id := ids.Draw(t, "id")
				end := ports.ActionEnd{EndedAt: at.Draw(t, "ended"), Outcome: outcome.Draw(t, "outcome"), Count: rapid.Int().Draw(t, "count"), Error: text.Draw(t, "error")}
				same("end", nil, nil, want.End(ctx, id, end), got.End(ctx, id, end))
			},
			"list": func(t *rapid.T) {
				query := ports.OperatorActionQuery{Limit: rapid.IntRange(1, 4).Draw(t, "limit"), Action: text.Draw(t, "action"), By: text.Draw(t, "by")}
				if rapid.Bool().Draw(t, "in a period") {
					query.From, query.To = at.Draw(t, "from"), at.Draw(t, "to").Add(time.Microsecond)
				}
				for more := true; more; more = query.Cursor != "" {
					wanted, wantErr := want.List(ctx, query)
					have, err := got.List(ctx, query)
					same("list", wanted, have, wantErr, err)
					query.Cursor = wanted.NextCursor
				}
			},
		})
	})
}

func TestContactsAsInMemory(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	ctx := t.Context()
	user := rapid.SampledFrom(append(oddTexts[1:], "user"))
	texts := rapid.SampledFrom(validTexts)
	contact := rapid.Custom(func(t *rapid.T) ports.Contact {
		return ports.Contact{
			UserID: user.Draw(t, "user"), Language: texts.Draw(t, "language"),
			Addresses: rapid.MapOfN(texts, texts, 0, 3).Draw(t, "addresses"), Off: rapid.SliceOfN(texts, 0, 3).Draw(t, "off"),
			UpdatedAt: epoch.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "ms")) * time.Millisecond),
		}
	})

	rapid.Check(t, func(t *rapid.T) {
		spoil(t, s, "DELETE FROM contacts")
		want, got := new(memory.Contacts), s.Contacts()
		same := sameAnswers(t)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				all := rapid.SliceOfN(contact, 0, 4).Draw(t, "contacts")
				same("put", nil, nil, want.Put(ctx, all...), got.Put(ctx, all...))
			},
			"delete": func(t *rapid.T) {
				id := user.Draw(t, "user")
				same("delete", nil, nil, want.Delete(ctx, id), got.Delete(ctx, id))
			},
			"get": func(t *rapid.T) {
				id := user.Draw(t, "user")
				wanted, wantErr := want.Get(ctx, id)
				have, err := got.Get(ctx, id)
				same("get", wanted, have, wantErr, err)
			},
			"list": func(t *rapid.T) {
				limit, cursor := rapid.IntRange(1, 3).Draw(t, "limit"), ""
				for more := true; more; more = cursor != "" {
					wanted, wantErr := want.List(ctx, limit, cursor)
					have, err := got.List(ctx, limit, cursor)
					same("list", wanted, have, wantErr, err)
					cursor = wanted.NextCursor
				}
			},
		})
	})
}

// sameError reports whether both errors are the same of the contract, or nil.
func sameError(a, b error) bool {
	if (a == nil) != (b == nil) {
		return false
	}
	for _, target := range []error{ports.ErrExists, ports.ErrNotFound, ports.ErrChanged, ports.ErrUnavailable, ports.ErrInvalidCursor} {
		if errors.Is(a, target) != errors.Is(b, target) {
			return false
		}
	}
	return true
}
