package porttest

import (
	"crypto/sha256"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/orderflow/ports"
)

// DeadLettersClauses returns the contract of [ports.DeadLetters].
func DeadLettersClauses() []Clause[DeadLetters] {
	return slices.Concat(putLetterClauses(), listLettersClauses(), settleClauses(), forgetClauses())
}

// settler is who settles the clauses' letters.
const settler = "somebody@somewhere"

var letterStates = []ports.DeadLetterState{ports.Waiting, ports.Replayed, ports.Discarded}

// nthLetter returns the nth dead letter with its nth failure; ids do not sort
// as their numbers.
func nthLetter(n int) ports.DeadLetter {
	id := string(orderID(n)) + "-created"
	return ports.DeadLetter{
		ID:              id,
		MessageID:       "message " + strconv.Itoa(n),
		ContentType:     "application/json",
		ContentEncoding: "encoding " + strconv.Itoa(n),
		CorrelationID:   "correlation " + strconv.Itoa(n),
		ReplyTo:         "reply " + strconv.Itoa(n),
		Type:            "type " + strconv.Itoa(n),
		AppID:           "app " + strconv.Itoa(n),
		Timestamp:       epoch.Add(time.Duration(n) * time.Millisecond),
		Headers:         map[string]string{"ce-type": "order.created", "number": strconv.Itoa(n)},
		Body:            []byte(`{"number":` + strconv.Itoa(n) + `}`),
		Failures:        []ports.Failure{nthFailure(n)},
	}
}

// nthFailure returns one that was the last n seconds after the epoch, and the
// first ten years before.
func nthFailure(n int) ports.Failure {
	at := epoch.Add(time.Duration(n)*time.Second + 123*time.Millisecond)
	return ports.Failure{Reason: "reason " + strconv.Itoa(n), Attempts: n%5 + 1, FirstFailure: at.AddDate(-10, 0, 0), LastFailure: at}
}

// failing returns the letter as it is put for that failure.
func failing(letter ports.DeadLetter, failure ports.Failure) ports.DeadLetter {
	letter.Failures = []ports.Failure{failure}
	return letter
}

// putAs returns the letter as it is kept once it was put.
func putAs(letter ports.DeadLetter) ports.DeadLetter {
	letter.Since = letter.Failures[0].FirstFailure
	return settledAs(letter, ports.Waiting, time.Time{})
}

// settledAs returns the letter as it is kept once it was settled.
func settledAs(letter ports.DeadLetter, state ports.DeadLetterState, at time.Time) ports.DeadLetter {
	letter.State, letter.SettledAt, letter.SettledBy = state, at, settler
	if state == ports.Waiting {
		letter.SettledBy = ""
	}
	return letter
}

// listedAs returns the kept letter as List has it.
func listedAs(letter ports.DeadLetter) ports.DeadLetter {
	return ports.DeadLetter{
		ID: letter.ID, MessageID: letter.MessageID, Failures: letter.Failures,
		State: letter.State, Since: letter.Since, SettledAt: letter.SettledAt, SettledBy: letter.SettledBy,
	}
}

// hardLetters returns letters that are easy to spoil on the way into a server
// and back.
func hardLetters() []ports.DeadLetter {
	at := func(year int) time.Time { return time.Date(year, 12, 31, 23, 59, 59, 999_000_000, time.UTC) }
	bare := ports.DeadLetter{ID: "unreadable-0123", Failures: []ports.Failure{{Attempts: 1, FirstFailure: epoch, LastFailure: epoch}}}
	headers, binary, large, early, texts := nthLetter(1), nthLetter(2), nthLetter(3), nthLetter(4), nthLetter(5)
	headers.Headers = map[string]string{
		"": "no name", "no value": "", "a.b": "1", ".": "2", "$set": "3", "$": "4", "a.$b": "$c", "A.B": "5", "name": "6", "value": "7",
		"\u00e4": "composed", "a\u0308": "\U0001F6D2\u2028", "\xff": "\xfe of no character set", "nul": "a\x00b", "long": strings.Repeat("x", 10_000),
	}
	for i := range 256 {
		binary.Body = append(binary.Body, byte(i))
	}
	for i := range 1 << 20 {
		large.Body = append(large.Body, byte(i*i>>8))
	}
	early.Timestamp = at(1969)
	early.Failures = []ports.Failure{{Reason: "r", Attempts: 1_000_000, FirstFailure: at(1969), LastFailure: at(2299)}}
	texts.ID = ` a.b$c/?%2F {"$gt":""} ` + strings.Repeat("\u754c", 100)
	texts.MessageID, texts.ContentType = "$x\u00e4\n", "text/plain; charset=\"a.b\""
	texts.ContentEncoding, texts.CorrelationID = "$set", "a.b\x00"+strings.Repeat("\u754c", 100)
	texts.ReplyTo, texts.Type, texts.AppID = "\xff\n", ` {"$gt":""} `, "a\u0308\U0001F6D2"
	texts.Failures[0].Reason = "a\u0308 $1 .* \\ \"\n" + strings.Repeat("\u754c", 10_000)
	return []ports.DeadLetter{bare, headers, binary, large, early, texts}
}

func putLetters(t testing.TB, store ports.DeadLetters, letters ...ports.DeadLetter) {
	t.Helper()
	for _, letter := range letters {
		if err := store.Put(bounded(t), letter); err != nil {
			t.Fatalf("put dead letter %s: %v", letter.ID, err)
		}
	}
}

func getLetter(t testing.TB, store ports.DeadLetters, id string) ports.DeadLetter {
	t.Helper()
	letter, err := store.Get(bounded(t), id)
	if err != nil {
		t.Fatalf("get dead letter %s: %v", id, err)
	}
	return letter
}

// settle settles the letter and returns it as it is kept then.
func settle(t testing.TB, store ports.DeadLetters, letter ports.DeadLetter, state ports.DeadLetterState) ports.DeadLetter {
	t.Helper()
	if err := store.Settle(bounded(t), letter, state, settler); err != nil {
		t.Fatalf("settle %s dead letter %s as %s: %v", letter.State, letter.ID, state, err)
	}
	return getLetter(t, store, letter.ID)
}

// putInto puts the letter, brings it into that state, and returns it as it is
// kept then.
func putInto(t testing.TB, store ports.DeadLetters, letter ports.DeadLetter, state ports.DeadLetterState) ports.DeadLetter {
	t.Helper()
	putLetters(t, store, letter)
	kept := getLetter(t, store, letter.ID)
	if state == ports.Waiting {
		return kept
	}
	return settle(t, store, kept, state)
}

// lettersEqual takes what is empty for what is not there, but no time for the
// same one in another zone. Of long bodies only the sums are compared and shown.
var lettersEqual = cmp.Options{
	cmpopts.EquateEmpty(),
	cmp.FilterValues(func(a, b []byte) bool { return len(a)+len(b) > 1000 }, cmp.Transformer("sum", sha256.Sum256)),
	cmp.Comparer(func(a, b time.Time) bool { return a == b }),
}

// checkLetter fails t unless either side has the letter as it is here.
func checkLetter(t testing.TB, d DeadLetters, want ports.DeadLetter) {
	t.Helper()
	for _, store := range []ports.DeadLetters{d.Letters, d.Other} {
		got := getLetter(t, store, want.ID)
		if diff := cmp.Diff(want, got, lettersEqual); diff != "" {
			t.Errorf("dead letter %s (-want +got):\n%.2000s", want.ID, diff)
		}
	}
}

func checkNoLetter(t testing.TB, store ports.DeadLetters, id string) {
	t.Helper()
	got, err := store.Get(bounded(t), id)
	checkError(t, "get an unknown dead letter", err, ports.ErrNotFound, id)
	if diff := cmp.Diff(ports.DeadLetter{}, got); diff != "" {
		t.Errorf("get an unknown dead letter: beside the error (-want +got):\n%s", diff)
	}
}

// listLetters follows the cursors from the page that query asks for to the
// last, and calls between before each further page.
func listLetters(t testing.TB, store ports.DeadLetters, query ports.DeadLetterQuery, between func()) []ports.DeadLetter {
	t.Helper()
	return follow(t, query, query.Limit, query.Cursor, func(cursor string) ([]ports.DeadLetter, string, error) {
		query.Cursor = cursor
		page, err := store.List(bounded(t), query)
		return page.Letters, page.NextCursor, err
	}, between)
}

// checkListed fails t unless List has the letter, which is given as it is kept.
func checkListed(t testing.TB, kept, listed ports.DeadLetter) {
	t.Helper()
	if diff := cmp.Diff(listedAs(kept), listed, lettersEqual); diff != "" {
		t.Errorf("list: letter %.50q (-want +got):\n%.2000s", kept.ID, diff)
	}
}

// checkLetters fails t unless either side lists these letters, which are given
// as they are kept, in this order.
func checkLetters(t testing.TB, d DeadLetters, query ports.DeadLetterQuery, want ...ports.DeadLetter) {
	t.Helper()
	listed := make([]ports.DeadLetter, len(want))
	for i, letter := range want {
		listed[i] = listedAs(letter)
	}
	for _, store := range []ports.DeadLetters{d.Letters, d.Other} {
		got := listLetters(t, store, query, func() {})
		if reflect.DeepEqual(listed, got) {
			continue // cmp takes its time
		}
		if diff := cmp.Diff(listed, got, lettersEqual); diff != "" {
			t.Errorf("list %+v (-want +got):\n%.2000s", query, diff)
		}
	}
}
