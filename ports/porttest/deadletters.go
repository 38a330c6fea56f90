package porttest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// settler settles the letters of the clauses.
const settler = "somebody@somewhere"

var letterStates = []ports.DeadLetterState{ports.Waiting, ports.Replayed, ports.Discarded}

// nthLetter returns the nth dead letter with its nth failure; ids do not sort
// as their numbers.
func nthLetter(n int) ports.DeadLetter {
	id := string(orderID(n)) + "-created"
	message := ports.Message{
		ID:              "message " + strconv.Itoa(n),
		ContentType:     "application/json",
		ContentEncoding: "encoding " + strconv.Itoa(n),
		CorrelationID:   "correlation " + strconv.Itoa(n),
		ReplyTo:         "reply " + strconv.Itoa(n),
		Type:            "type " + strconv.Itoa(n),
		AppID:           "app " + strconv.Itoa(n),
		Timestamp:       epoch.Add(time.Duration(n) * time.Millisecond),
		Headers:         map[string]string{"ce-type": "order.created", "number": strconv.Itoa(n)},
		Body:            []byte(`{"number":` + strconv.Itoa(n) + `}`),
	}
	return ports.DeadLetter{ID: id, Message: message, Failure: nthFailure(n)}
}

// nthFailure returns a failure whose last time is n seconds after the epoch, and
// its first time ten years before.
func nthFailure(n int) ports.Failure {
	at := epoch.Add(time.Duration(n)*time.Second + 123*time.Millisecond)
	return ports.Failure{Reason: "reason " + strconv.Itoa(n), Attempts: n%5 + 1, FirstFailure: at.AddDate(-10, 0, 0), LastFailure: at}
}

// failing returns the letter with this failure.
func failing(letter ports.DeadLetter, failure ports.Failure) ports.DeadLetter {
	letter.Failure = failure
	return letter
}

// failingAgain returns the record's letter with this failure.
func failingAgain(record ports.DeadLetterRecord, failure ports.Failure) ports.DeadLetter {
	return ports.DeadLetter{ID: record.ID, Subscription: record.Subscription, Message: record.Message, Failure: failure}
}

// putAs returns the letter's record after its first Put.
func putAs(letter ports.DeadLetter) ports.DeadLetterRecord {
	eventType, userID := described(letter.Message)
	return ports.DeadLetterRecord{
		ID: letter.ID, Subscription: letter.Subscription, Message: letter.Message, Failures: []ports.Failure{letter.Failure}, State: ports.Waiting,
		EventType: eventType, UserID: userID, Since: letter.Failure.FirstFailure,
	}
}

// described returns the type and the user of the message's event, as a record has them.
func described(m ports.Message) (eventType, userID string) {
	var body struct {
		UserID string `json:"user_id"`
	}
	if json.Unmarshal(m.Body, &body) != nil || domain.CheckKnownUserID(body.UserID) != nil {
		body.UserID = ""
	}
	return m.Headers["ce-type"], body.UserID
}

// settledAs returns the record after it was settled.
func settledAs(record ports.DeadLetterRecord, state ports.DeadLetterState, at time.Time) ports.DeadLetterRecord {
	record.State, record.SettledAt, record.SettledBy = state, at, settler
	if state == ports.Waiting {
		record.SettledBy = ""
	}
	return record
}

// listedAs returns the record as List returns it.
func listedAs(record ports.DeadLetterRecord) ports.DeadLetterRecord {
	record.Message = ports.Message{ID: record.Message.ID}
	return record
}

// hardLetters returns letters that a server easily changes when it stores or returns
// them.
func hardLetters() []ports.DeadLetter {
	at := func(year int) time.Time { return time.Date(year, 12, 31, 23, 59, 59, 999_000_000, time.UTC) }
	bare := ports.DeadLetter{ID: "unreadable-0123", Failure: ports.Failure{Attempts: 1, FirstFailure: epoch, LastFailure: epoch}}
	headers, binary, large, early, texts := nthLetter(1), nthLetter(2), nthLetter(3), nthLetter(4), nthLetter(5)
	headers.Message.Headers = map[string]string{
		"": "no name", "no value": "", "a.b": "1", ".": "2", "$set": "3", "$": "4", "a.$b": "$c", "A.B": "5", "name": "6", "value": "7",
		"\u00e4": "composed", "a\u0308": "\U0001F6D2\u2028", "\xff": "\xfe of no character set", "nul": "a\x00b", "long": strings.Repeat("x", 10_000),
	}
	for i := range 256 {
		binary.Message.Body = append(binary.Message.Body, byte(i))
	}
	for i := range 1 << 20 {
		large.Message.Body = append(large.Message.Body, byte(i*i>>8))
	}
	early.Message.Timestamp = at(1969)
	early.Failure = ports.Failure{Reason: "r", Attempts: 1_000_000, FirstFailure: at(1969), LastFailure: at(2299)}
	headers.Subscription = "email"
	texts.Subscription = `a.b $c"` + "\u00e4"
	texts.ID = ` a.b$c/?%2F {"$gt":""} ` + strings.Repeat("\u754c", 100)
	m := &texts.Message
	m.ID, m.ContentType = "$x\u00e4\n", "text/plain; charset=\"a.b\""
	m.ContentEncoding, m.CorrelationID = "$set", "a.b\x00"+strings.Repeat("\u754c", 100)
	m.ReplyTo, m.Type, m.AppID = "\xff\n", ` {"$gt":""} `, "a\u0308\U0001F6D2"
	texts.Failure.Reason = "a\u0308 $1 .* \\ \"\n" + strings.Repeat("\u754c", 10_000)
	return []ports.DeadLetter{bare, headers, binary, large, early, texts}
}

// put puts the letters, many at once.
func put(t testing.TB, store ports.DeadLetters, letters ...ports.DeadLetter) {
	t.Helper()
	forEach(t, letters, func(ctx context.Context, letter ports.DeadLetter) error {
		if err := store.Put(ctx, letter); err != nil {
			return fmt.Errorf("put dead letter %.50q: %w", letter.ID, err)
		}
		return nil
	})
}

func getLetter(t testing.TB, store ports.DeadLetters, id string) ports.DeadLetterRecord {
	t.Helper()
	letter, err := store.Get(bounded(t), id)
	must(t, fmt.Sprintf("get dead letter %.50q", id), err)
	return letter
}

func settle(t testing.TB, store ports.DeadLetters, letter ports.DeadLetterRecord, state ports.DeadLetterState) {
	t.Helper()
	must(t, fmt.Sprintf("settle %s dead letter %s as %s", letter.State, letter.ID, state), store.Settle(bounded(t), letter, state, settler))
}

// settled settles the letter and returns its record.
func settled(t testing.TB, store ports.DeadLetters, letter ports.DeadLetterRecord, state ports.DeadLetterState) ports.DeadLetterRecord {
	t.Helper()
	settle(t, store, letter, state)
	return getLetter(t, store, letter.ID)
}

// putInto puts the letter, brings it into the state, and returns its record.
func putInto(t testing.TB, store ports.DeadLetters, letter ports.DeadLetter, state ports.DeadLetterState) ports.DeadLetterRecord {
	t.Helper()
	put(t, store, letter)
	kept := getLetter(t, store, letter.ID)
	if state == ports.Waiting {
		return kept
	}
	return settled(t, store, kept, state)
}

// bySum compares and shows only the checksums of long bodies.
var bySum = cmp.FilterValues(func(a, b []byte) bool { return len(a)+len(b) > 1000 }, cmp.Transformer("sum", sha256.Sum256))

// checkLetter fails t unless both stores have this record.
func checkLetter(t testing.TB, d DeadLetters, want ports.DeadLetterRecord) {
	t.Helper()
	for _, store := range []ports.DeadLetters{d.Letters, d.Other} {
		checkEqual(t, fmt.Sprintf("dead letter %.50q", want.ID), want, getLetter(t, store, want.ID), bySum)
	}
}

func checkNoLetter(t testing.TB, store ports.DeadLetters, id string) {
	t.Helper()
	got, err := store.Get(bounded(t), id)
	checkError(t, "get unknown dead letter", err, ports.ErrNotFound, id)
	checkEqual(t, "dead letter with the error for unknown dead letter "+id, ports.DeadLetterRecord{}, got)
}

// checkLetters fails t unless both stores list these records, in this order.
func checkLetters(t testing.TB, d DeadLetters, query ports.DeadLetterQuery, want ...ports.DeadLetterRecord) {
	t.Helper()
	listed := make([]ports.DeadLetterRecord, len(want))
	for i, letter := range want {
		listed[i] = listedAs(letter)
	}
	for _, store := range []ports.DeadLetters{d.Letters, d.Other} {
		checkEqual(t, fmt.Sprintf("list %+v", query), listed, listLetters(t, store, query), bySum)
	}
}

// checkListed fails t unless the list has this record.
func checkListed(t testing.TB, store ports.DeadLetters, query ports.DeadLetterQuery, kept ports.DeadLetterRecord) {
	t.Helper()
	listed, ok := findListed(t, store, query, kept.ID)
	if !ok {
		t.Errorf("list %+v does not have dead letter %.50q, want it to", query, kept.ID)
		return
	}
	checkEqual(t, fmt.Sprintf("list %+v: dead letter %.50q", query, kept.ID), listedAs(kept), listed, bySum)
}

func findListed(t testing.TB, store ports.DeadLetters, query ports.DeadLetterQuery, id string) (ports.DeadLetterRecord, bool) {
	t.Helper()
	for _, letter := range listLetters(t, store, query) {
		if letter.ID == id {
			return letter, true
		}
	}
	return ports.DeadLetterRecord{}, false
}
