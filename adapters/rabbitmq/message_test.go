package rabbitmq

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/ports"
)

func TestAfterFailure(t *testing.T) {
	topology := Topology{Queue: "q", Delays: []time.Duration{time.Second, time.Minute}}
	now := time.Date(2026, 11, 23, 11, 0, 0, 120_999_999, time.FixedZone("CET", 3600))
	const before, at = "2026-11-23T09:59:00.001Z", "2026-11-23T10:00:00.120Z"
	no := errors.New("no")
	headers := func(attempts string, first string) amqp.Table {
		return amqp.Table{
			"ce-id": "e", headerAttempts: attempts, headerReason: "no",
			headerFirstFailure: first, headerLastFailure: at,
		}
	}
	tests := []struct {
		name     string
		attempts string // the header of the delivery
		failure  error
		exchange string
		key      string
		want     amqp.Table
	}{
		{"first", "", no, "", "q.retry.1s", headers("1", at)},
		{"second", "1", no, "", "q.retry.1m", headers("2", before)},
		{"last", "2", no, "q.dead-letter", "", headers("3", before)},
		{"beyond the last, of a topology that had more delays", "7", no, "q.dead-letter", "", headers("8", before)},
		{"permanent", "", fmt.Errorf("%w", ports.Permanent(no)), "q.dead-letter", "", headers("1", at)},
		{"permanent at the second", "1", ports.Permanent(no), "q.dead-letter", "", headers("2", before)},
		{"postponed", "", ports.Postpone(no), "", "q.retry.1s", amqp.Table{"ce-id": "e"}},
		{"postponed at the third", "2", ports.Postpone(no), "", "q.retry.1s", amqp.Table{
			"ce-id": "e", headerAttempts: "2", headerReason: "another", headerFirstFailure: before, headerLastFailure: before,
		}},
		{"a count that is not a number", "many", no, "", "q.retry.1s", headers("1", before)},
		{"a negative count", "-3", no, "", "q.retry.1s", headers("1", before)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := amqp.Delivery{MessageId: "m", Headers: amqp.Table{"ce-id": "e"}}
			if tt.attempts != "" {
				d.Headers[headerAttempts] = tt.attempts
				d.Headers[headerReason] = "another"
				d.Headers[headerFirstFailure], d.Headers[headerLastFailure] = before, before
			}
			got := afterFailure(topology, d, tt.failure, now)
			if got.exchange != tt.exchange || got.key != tt.key {
				t.Errorf("exchange %q and key %q, want %q and %q", got.exchange, got.key, tt.exchange, tt.key)
			}
			if diff := cmp.Diff(tt.want, got.Headers); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAfterFailureKeepsTheSendersMessage(t *testing.T) {
	at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	d := amqp.Delivery{
		Headers: amqp.Table{
			"ce-id": "e", "x-request-id": "r", "number": int64(1),
			"x-death": []any{amqp.Table{"count": int64(1)}}, "x-first-death-queue": "q", "x-last-death-reason": "expired",
			"x-delivery-count": int64(3), "x-acquired-count": int64(3), "CC": []any{"other"}, "BCC": []any{"other"},
		},
		ContentType: "application/json", ContentEncoding: "identity", MessageId: "m", Timestamp: at, Type: "t",
		AppId: "a", CorrelationId: "c", ReplyTo: "r", Body: []byte("body"),
		DeliveryMode: amqp.Transient, Priority: 9, Expiration: "1000", UserId: "somebody",
	}
	want := amqp.Publishing{
		Headers: amqp.Table{
			"ce-id": "e", "x-request-id": "r", "number": int64(1), headerAttempts: "1", headerReason: "no",
			headerFirstFailure: "2026-11-23T10:00:00.000Z", headerLastFailure: "2026-11-23T10:00:00.000Z",
		},
		ContentType: "application/json", ContentEncoding: "identity", MessageId: "m", Timestamp: at, Type: "t",
		AppId: "a", CorrelationId: "c", ReplyTo: "r", Body: []byte("body"),
		DeliveryMode: amqp.Persistent,
	}
	got := afterFailure(Topology{}, d, errors.New("no"), at)
	if diff := cmp.Diff(want, got.Publishing); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}

	d.MessageId = ""
	one, other := afterFailure(Topology{}, d, errors.New("no"), at), afterFailure(Topology{}, d, errors.New("no"), at)
	if one.MessageId == "" || one.MessageId == other.MessageId {
		t.Errorf("messages without ids got ids %q and %q, want two different ones", one.MessageId, other.MessageId)
	}
}

// fit leaves out the least important headers, and no more than necessary.
func TestFit(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	ours := amqp.Table{headerAttempts: "1", headerReason: x(maxReason), headerFirstFailure: x(24), headerLastFailure: x(24)}
	with := func(tables ...amqp.Table) amqp.Table {
		all := amqp.Table{}
		for _, table := range append(tables, ours) {
			maps.Copy(all, table)
		}
		return all
	}
	event := amqp.Table{"ce-id": x(44), "ce-type": "order.created"}
	full := amqp.Publishing{
		ContentType: x(255), ContentEncoding: x(255), CorrelationId: x(255), ReplyTo: x(255), MessageId: x(255), Type: x(255), AppId: x(255),
	}
	many := amqp.Table{}
	for i := range 10_000 {
		many[fmt.Sprint("x-", i)] = "y"
	}
	for name, tt := range map[string]struct {
		publishing amqp.Publishing
		headers    amqp.Table
		frame      int
		want       amqp.Table // nil: all headers
	}{
		"all":                  {full, with(event, amqp.Table{"x-a": x(100)}), 4096 + brokersReserve, nil},
		"the longest":          {full, with(event, amqp.Table{"x-a": x(900), "x-b": x(100)}), 4096 + brokersReserve, with(event, amqp.Table{"x-b": x(100)})},
		"an event's after":     {full, with(event, amqp.Table{"ce-source": x(2000), "x-a": "y"}), 4096, with(event)},
		"what looks like ours": {full, with(event, amqp.Table{"orderflow-x": x(1000)}), 4096, with(event)},
		"no reserve for more":  {full, with(event, amqp.Table{"x-a": x(100)}), 4096, with(event)},
		"without the reserve":  {amqp.Publishing{}, with(event, amqp.Table{"x-a": x(4400)}), 8192, nil},
		"in the reserve":       {amqp.Publishing{}, with(event, amqp.Table{"x-a": x(5000)}), 8192, with(event)},
		"few at 8192":          {amqp.Publishing{}, with(event, amqp.Table{"x-a": x(8100)}), 8192, with(event)},
		"no bound":             {full, with(amqp.Table{"x-a": x(60_000)}), 0, nil},
		"our own bound":        {full, with(amqp.Table{"x-a": x(70_000)}), 0, with()},
		"larger than our own":  {full, with(amqp.Table{"x-a": x(70_000)}), 131072, with()},
	} {
		t.Run(name, func(t *testing.T) {
			tt.publishing.Headers = tt.headers
			before := maps.Clone(tt.headers)
			if tt.want == nil {
				tt.want = before
			}
			fitted, leftOut := fit(tt.publishing, tt.frame)
			got := fitted.Headers
			if want := len(before) - len(tt.want); len(leftOut) != want {
				t.Errorf("names of left-out headers are %q, want %d", leftOut, want)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tt.headers); diff != "" {
				t.Errorf("the caller's headers (-want +got):\n%s", diff)
			}
		})
	}
	full.Headers = with(event, many)
	fitted, _ := fit(full, 4096+brokersReserve)
	got := fitted.Headers
	for name, value := range with(event) {
		if got[name] != value {
			t.Errorf("among many headers, header %s is %.20v", name, got[name])
		}
	}
	if n := len(got); n < 30 || n > 100 {
		t.Errorf("%d headers are left of many", n)
	}
}

func TestBounded(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"short", "no such address", "no such address"},
		{"longest", strings.Repeat("x", maxReason), strings.Repeat("x", maxReason)},
		{"too long", strings.Repeat("x", maxReason+1), strings.Repeat("x", maxReason-3) + "…"},
		{"cut within a character", strings.Repeat("界", maxReason), strings.Repeat("界", (maxReason-3)/3) + "…"},
		{"broken", "a\xffb", "a\uFFFDb"},
		{"broken and long", strings.Repeat("\xff\x00", maxReason), strings.Repeat("\uFFFD\x00", (maxReason-3)/4) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := bounded(tt.text)
			if len(got) > maxReason || !utf8.ValidString(got) {
				t.Errorf("%d bytes, valid: %v", len(got), utf8.ValidString(got))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRetryQueueNames(t *testing.T) {
	for d, want := range map[time.Duration]string{
		50 * time.Millisecond: "q.retry.50ms", time.Second: "q.retry.1s", 10 * time.Second: "q.retry.10s",
		time.Minute: "q.retry.1m", 10 * time.Minute: "q.retry.10m", 90 * time.Second: "q.retry.1m30s",
		time.Hour: "q.retry.1h", 90 * time.Minute: "q.retry.1h30m", 20 * time.Hour: "q.retry.20h",
		time.Hour + 30*time.Second: "q.retry.1h0m30s",
	} {
		if got := (Topology{Queue: "q"}).retryQueue(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// Another program may have written any time into a header.
func TestWrittenFailureDropsInvalidTimes(t *testing.T) {
	for _, text := range []string{"0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "soon"} {
		got := writtenFailure(amqp.Table{headerFirstFailure: text, headerLastFailure: text})
		if !got.FirstFailure.IsZero() || !got.LastFailure.IsZero() {
			t.Errorf("%s: times %v and %v, want zero", text, got.FirstFailure, got.LastFailure)
		}
	}
}
