package sqlite

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"example.com/orderflow/adapters/internal/eventschema"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

// The properties of any message return as they were, also texts of no character set.
func TestPropertiesKeepEveryField(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		want := ports.Message{
			ID:              text.Draw(t, "id"),
			ContentType:     text.Draw(t, "content type"),
			Headers:         rapid.MapOf(text, text).Draw(t, "headers"),
			Body:            rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
			ContentEncoding: text.Draw(t, "content encoding"),
			CorrelationID:   text.Draw(t, "correlation id"),
			ReplyTo:         text.Draw(t, "reply-to"),
			Type:            text.Draw(t, "type"),
			AppID:           text.Draw(t, "app id"),
			Timestamp:       time.Unix(rapid.Int64Range(-1<<35, 1<<37).Draw(t, "timestamp"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC(),
		}
		encoded, err := encodeProperties(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeMessage(encoded, want.Body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
	})
}

// Files keep the properties, so later versions must read this form.
func TestFormOfProperties(t *testing.T) {
	m := ports.Message{
		ID: "m", ContentType: "text/plain", Headers: map[string]string{"b": "2", "a": "1"}, ContentEncoding: "gzip",
		CorrelationID: "c", ReplyTo: "r", Type: "t", AppID: "a", Timestamp: time.Date(2026, 11, 23, 10, 0, 0, 1, time.UTC),
	}
	binary := ports.Message{ID: "\xff", Headers: map[string]string{"a": "1"}}
	for want, m := range map[string]ports.Message{
		`{"id":"m","content_type":"text/plain","headers":{"a":"1","b":"2"},"content_encoding":"gzip","correlation_id":"c",` +
			`"reply_to":"r","type":"t","app_id":"a","timestamp":"2026-11-23T10:00:00.000000001Z"}`: m,
		`{"id":""}`: {},
		`{"id":"/w==","headers":{"YQ==":"MQ=="},"base64":true}`: binary,
	} {
		got, err := encodeProperties(m)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("properties (-want +got):\n%s", diff)
		}
		again, err := decodeMessage(want, nil)
		if diff := cmp.Diff(m, again); diff != "" || err != nil {
			t.Errorf("message (-want +got):\n%s error %v", diff, err)
		}
	}
}

// Without a timestamp that RFC 3339 can't write, the message can still be kept.
func TestPropertiesWithoutUnwritableTimestamp(t *testing.T) {
	for _, year := range []int{-1, 0, 10_000, 292_277_026_596} {
		encoded, err := encodeProperties(ports.Message{ID: "m", Timestamp: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err != nil || strings.Contains(encoded, "timestamp") {
			t.Errorf("year %d: got %s, error %v; want no timestamp", year, encoded, err)
		}
	}
}

func TestDecodeDamagedProperties(t *testing.T) {
	for _, text := range []string{"", "x", "7", "[]", `{"id":7}`, `{"headers":{"a":1}}`, `{"id":"!","base64":true}`, `{"id":"YQ==","headers":{"!":""},"base64":true}`} {
		if m, err := decodeMessage(text, nil); err == nil {
			t.Errorf("%q: got %+v, want an error", text, m)
		}
	}
}

func TestMessagesAreDescribed(t *testing.T) {
	s := openInside(t, filepath.Join(t.TempDir(), "orderflow.db"), Options{})
	eventschema.CheckPublished(t, order.AsyncAPI, eventschema.Broker{
		Publisher: s.Publisher(), Consumer: s.Consumer(), DeadLetters: s.DeadLetterQueue(),
	}, newOrder(t, 1).Created())
}
