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

	rapid.Check(t, func(t *rapid.T) {
		spoil(t, s, "DELETE FROM dead_letters")
		want, got := new(memory.DeadLetters), s.DeadLetters()
		same := func(what string, wanted, have any, wantErr, err error) {
			t.Helper()
			if !sameError(wantErr, err) {
				t.Fatalf("%s: error %v, want %v", what, err, wantErr)
			}
			if diff := cmp.Diff(wanted, have, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(ports.DeadLetterRecord{}, "SettledAt")); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", what, diff)
			}
		}
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
				query := ports.DeadLetterQuery{Limit: rapid.IntRange(1, 4).Draw(t, "limit"), Reason: rapid.SampledFrom(append(oddTexts, "ab")).Draw(t, "reason")}
				if rapid.Bool().Draw(t, "by state") {
					query.State = state.Draw(t, "state")
				}
				if rapid.Bool().Draw(t, "by order") {
					query.OrderID = oddOrder
				}
				wanted, wantErr := list(want, query)
				have, err := list(got, query)
				same("list", wanted, have, wantErr, err)
			},
			"forget": func(t *rapid.T) {
				wanted, wantErr := want.Forget(ctx, "ann")
				have, err := got.Forget(ctx, "ann")
				same("forget", wanted, have, wantErr, err)
			},
		})
	})
}

func TestContactsAsInMemory(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	ctx := t.Context()
	user := rapid.SampledFrom(append(oddTexts[1:], "user"))
	texts := rapid.SampledFrom(slices.DeleteFunc(slices.Clone(oddTexts), func(s string) bool { return s[:min(len(s), 1)] == "\xff" })) // valid UTF-8, as callers check
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
		same := func(what string, wanted, have any, wantErr, err error) {
			t.Helper()
			if !sameError(wantErr, err) {
				t.Fatalf("%s: error %v, want %v", what, err, wantErr)
			}
			if diff := cmp.Diff(wanted, have, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", what, diff)
			}
		}
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
