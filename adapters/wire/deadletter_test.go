package wire_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

func id(m ports.Message) string { return wire.DeadLetter("", m, ports.Failure{}).ID }

func TestDeadLetter(t *testing.T) {
	m, err := wire.Encode(event(t))
	if err != nil {
		t.Fatal(err)
	}
	failure := ports.Failure{Reason: "no such address", Attempts: 1, FirstFailure: time.UnixMilli(1), LastFailure: time.UnixMilli(1)}
	letter := wire.DeadLetter("", m, failure)
	if diff := cmp.Diff(ports.DeadLetter{ID: m.ID, Message: m, Failure: failure}, letter); diff != "" {
		t.Errorf("dead letter (-want +got):\n%s", diff)
	}
	m.ID = "another"
	if got := id(m); got != letter.ID {
		t.Errorf("dead letter of a message with another id: id %q, want the event's id %q", got, letter.ID)
	}
}

// Stores keep the id, so later versions must make the same one.
func TestDeadLetterIDIsStable(t *testing.T) {
	m := ports.Message{ID: "m", ContentType: "text/plain", Headers: map[string]string{"a": "1", "b": "2"}, Body: []byte("hello")}
	if got, want := id(m), "unreadable-ba34fdd5a33edc608d6babf1782405de"; got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	m.ContentEncoding, m.CorrelationID, m.ReplyTo, m.Type, m.AppID = "gzip", "c", "r", "t", "a"
	m.Timestamp = time.Date(2026, 11, 23, 11, 0, 0, 0, time.FixedZone("CET", 3600))
	if got, want := id(m), "unreadable-6f201bedda23a7dc4b8ba49be77cbc44"; got != want {
		t.Errorf("id with every property %s, want %s", got, want)
	}
}

func TestDeadLetterIDsDiffer(t *testing.T) {
	messages := []ports.Message{
		{},
		{ID: "a"},
		{ContentType: "a"},
		{Body: []byte("a")},
		{Headers: map[string]string{"a": ""}},
		{Headers: map[string]string{"": "a"}},
		{ID: "ab", ContentType: "c"},
		{ID: "a", ContentType: "bc"},
		{Headers: map[string]string{"a": "b", "c": "d"}},
		{Headers: map[string]string{"a": "b"}, Body: []byte("cd")},
		{Headers: map[string]string{"a": "bcd"}},
		{ContentEncoding: "a"},
		{CorrelationID: "a"},
		{ReplyTo: "a"},
		{Type: "a"},
		{AppID: "a"},
		{Timestamp: time.UnixMilli(0)},
		{Timestamp: time.UnixMilli(1000)},
		{Type: "type", AppID: "a"},
		{Type: "a", AppID: "type"},
		{Body: []byte("type"), Type: "a"},
		{Headers: map[string]string{"": "type"}, Body: []byte("a")},
		{ID: wire.NewID()},
		{ID: wire.NewID()},
	}
	seen := map[string]ports.Message{}
	for _, m := range messages {
		if other, ok := seen[id(m)]; ok {
			t.Errorf("%+v and %+v have the same id", m, other)
		}
		seen[id(m)] = m
	}
}

func TestDeadLetterIDSurvivesAReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := ports.Message{
			ID:          rapid.String().Draw(t, "id"),
			ContentType: rapid.String().Draw(t, "content type"),
			Headers:     rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "headers"),
			Body:        rapid.SliceOf(rapid.Byte()).Draw(t, "body"),

			ContentEncoding: rapid.String().Draw(t, "content encoding"),
			CorrelationID:   rapid.String().Draw(t, "correlation id"),
			ReplyTo:         rapid.String().Draw(t, "reply-to"),
			Type:            rapid.String().Draw(t, "type"),
			AppID:           rapid.String().Draw(t, "app id"),
			Timestamp:       time.Unix(rapid.Int64Range(-1, 1<<40).Draw(t, "timestamp"), 0).UTC(),
		}
		first := wire.DeadLetter("", m, ports.Failure{Reason: "first"})
		again := wire.DeadLetter("", first.Message, first.Failure)
		if diff := cmp.Diff(first, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("after a replay (-first +again):\n%s", diff)
		}
	})
}

func TestDeadLetterSharesNothing(t *testing.T) {
	m := ports.Message{Headers: map[string]string{"a": "b"}, Body: []byte("body")}
	letter := wire.DeadLetter("", m, ports.Failure{})
	letter.Message.Headers["a"], letter.Message.Body[0] = "x", 'x'
	want := ports.Message{Headers: map[string]string{"a": "b"}, Body: []byte("body")}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("message after its letter was changed (-want +got):\n%s", diff)
	}
}

// Brokers accept timestamps that RFC 3339 can't write.
func TestDeadLetterDropsUnwritableTimestamp(t *testing.T) {
	for _, year := range []int{-1, 0, 10_000, 292_277_026_596} {
		m := ports.Message{Body: []byte("hello"), Timestamp: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}
		letter := wire.DeadLetter("", m, ports.Failure{})
		if !letter.Message.Timestamp.IsZero() {
			t.Errorf("year %d: got timestamp %v, want none", year, letter.Message.Timestamp)
		}
		if again := id(letter.Message); again != letter.ID {
			t.Errorf("year %d: the id is %s after a replay, want %s", year, again, letter.ID)
		}
	}
}
