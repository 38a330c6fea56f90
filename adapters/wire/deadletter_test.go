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

func id(m wire.Message) string { return m.DeadLetter(ports.Failure{}).ID }

func TestDeadLetterOfAnEvent(t *testing.T) {
	m, err := wire.Encode(event(t))
	if err != nil {
		t.Fatal(err)
	}
	failure := ports.Failure{Reason: "no such address", Attempts: 1, FirstFailure: time.UnixMilli(1), LastFailure: time.UnixMilli(1)}
	letter := m.DeadLetter(failure)
	want := ports.DeadLetter{
		ID: m.ID, MessageID: m.ID, ContentType: "application/json", Timestamp: event(t).Time, Headers: m.Headers, Body: m.Body,
		Failures: []ports.Failure{failure},
	}
	if diff := cmp.Diff(want, letter); diff != "" {
		t.Errorf("dead letter (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(m, wire.FromDeadLetter(letter)); diff != "" {
		t.Errorf("its message (-want +got):\n%s", diff)
	}
	m.ID = "a stranger's"
	if got := id(m); got != letter.ID {
		t.Errorf("the dead letter's id is %q, though the event's is %q", got, letter.ID)
	}
}

// The id outlives programs: the letters of one version are there for the next.
func TestDeadLetterIDStaysAsItIs(t *testing.T) {
	m := wire.Message{ID: "m", ContentType: "text/plain", Headers: map[string]string{"a": "1", "b": "2"}, Body: []byte("hello")}
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
	messages := []wire.Message{
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
	seen := map[string]wire.Message{}
	for _, m := range messages {
		if other, ok := seen[id(m)]; ok {
			t.Errorf("%+v and %+v have the same id", m, other)
		}
		seen[id(m)] = m
	}
}

func TestDeadLetterIDSurvivesAReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := wire.Message{
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
		first := m.DeadLetter(ports.Failure{Reason: "first"})
		again := wire.FromDeadLetter(first).DeadLetter(ports.Failure{Reason: "again"})
		again.Failures = first.Failures
		if diff := cmp.Diff(first, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("after a replay (-first +again):\n%s", diff)
		}
	})
}

func TestDeadLettersShareNothing(t *testing.T) {
	m := wire.Message{Headers: map[string]string{"a": "b"}, Body: []byte("body")}
	letter := m.DeadLetter(ports.Failure{})
	again := wire.FromDeadLetter(letter)
	letter.Headers["a"], letter.Body[0] = "x", 'x'
	want := wire.Message{Headers: map[string]string{"a": "b"}, Body: []byte("body")}
	for name, got := range map[string]wire.Message{"message": m, "message of the letter": again} {
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, once the letter was changed (-want +got):\n%s", name, diff)
		}
	}
}

// A broker takes any number of seconds for a timestamp; text does not.
func TestDeadLetterWithATimestampNobodyCanWrite(t *testing.T) {
	for _, year := range []int{-1, 0, 10_000, 292_277_026_596} {
		m := wire.Message{Body: []byte("hello"), Timestamp: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}
		letter := m.DeadLetter(ports.Failure{})
		if !letter.Timestamp.IsZero() {
			t.Errorf("year %d: the letter has the timestamp %v, want none", year, letter.Timestamp)
		}
		if again := wire.FromDeadLetter(letter).DeadLetter(ports.Failure{}); again.ID != letter.ID {
			t.Errorf("year %d: the letter is %s after a replay, want %s", year, again.ID, letter.ID)
		}
	}
}
