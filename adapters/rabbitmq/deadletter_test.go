package rabbitmq

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/ports"
)

// read reads a delivery from the dead-letter queue of queue q.
func read(d amqp.Delivery, now time.Time) (ports.DeadLetter, bool) {
	return readLetter(Topology{Queue: "q"}.withDefaults(), d, now)
}

// deliveryOf returns the message as its queue delivers it.
func deliveryOf(m message) amqp.Delivery {
	return amqp.Delivery{
		Headers: m.Headers, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, CorrelationId: m.CorrelationId, ReplyTo: m.ReplyTo,
		MessageId: m.MessageId, Timestamp: m.Timestamp, Type: m.Type, AppId: m.AppId, Body: m.Body,
	}
}

func TestDeadLetterFailure(t *testing.T) {
	at := func(s string) time.Time {
		at, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	const now = "2026-11-23T12:00:00.123Z"
	written := amqp.Table{
		headerAttempts: "2", headerReason: "busy",
		headerFirstFailure: "2026-11-23T10:00:00.001Z", headerLastFailure: "2026-11-23T10:00:01.002Z",
	}
	death := func(queue, reason string) amqp.Table {
		return amqp.Table{"queue": queue, "reason": reason, "time": at("2026-11-23T11:00:00Z").In(time.FixedZone("CET", 3600))}
	}
	crashes := "set aside by the broker: 21 times a consumer crashed or lost its connection before it acknowledged the message"
	tests := []struct {
		name       string
		headers    amqp.Table
		deaths     []any
		id         string
		want       ports.Failure
		incomplete bool
	}{
		{"set aside by a consumer", written, nil, "m",
			ports.Failure{Reason: "busy", Attempts: 2, FirstFailure: at("2026-11-23T10:00:00.001Z"), LastFailure: at("2026-11-23T10:00:01.002Z")}, false},
		{"by a consumer of an earlier version", amqp.Table{
			headerAttempts: "1", headerReason: "busy", headerFirstFailure: "2026-11-23T10:00:00Z", headerLastFailure: "2026-11-23T10:00:01Z",
		}, nil, "m",
			ports.Failure{Reason: "busy", Attempts: 1, FirstFailure: at("2026-11-23T10:00:00Z"), LastFailure: at("2026-11-23T10:00:01Z")}, false},
		{"by the broker at the delivery limit", nil, []any{death("q", "delivery_limit")}, "m",
			ports.Failure{Reason: crashes, Attempts: 21, FirstFailure: at("2026-11-23T11:00:00Z"), LastFailure: at("2026-11-23T11:00:00Z")}, false},
		{"by the broker, after failures", written, []any{death("q", "delivery_limit"), death("q.retry.1s", "expired")}, "m",
			ports.Failure{Reason: crashes, Attempts: 23, FirstFailure: at("2026-11-23T10:00:00.001Z"), LastFailure: at("2026-11-23T11:00:00Z")}, false},
		{"by the broker, within the second of a failure", amqp.Table{headerFirstFailure: "2026-11-23T11:00:00.5Z"}, []any{death("q", "delivery_limit")}, "m",
			ports.Failure{Reason: crashes, Attempts: 21, FirstFailure: at("2026-11-23T11:00:00Z"), LastFailure: at("2026-11-23T11:00:00Z")}, false},
		{"by the broker at the message's own expiration", nil, []any{"no entry", death("q", "expired")}, "m",
			ports.Failure{Reason: "set aside by the broker: expired", FirstFailure: at("2026-11-23T11:00:00Z"), LastFailure: at("2026-11-23T11:00:00Z")}, false},
		{"by the broker, without a message id", nil, []any{death("q", "expired")}, "",
			ports.Failure{Reason: "set aside by the broker: expired", FirstFailure: at("2026-11-23T11:00:00Z"), LastFailure: at("2026-11-23T11:00:00Z")}, true},
		{"by another program", amqp.Table{headerLastFailure: "yesterday"}, []any{death("another", "expired")}, "m",
			ports.Failure{Reason: "put into the dead-letter queue by another program", FirstFailure: at(now), LastFailure: at(now)}, true},
		{"by another program, without a message id", nil, nil, "",
			ports.Failure{Reason: "put into the dead-letter queue by another program", FirstFailure: at(now), LastFailure: at(now)}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := amqp.Delivery{MessageId: tt.id, Headers: amqp.Table{}, Body: []byte("hello")}
			maps.Copy(d.Headers, tt.headers)
			if tt.deaths != nil {
				d.Headers["x-death"] = tt.deaths
			}
			got, complete := read(d, at(now).Add(time.Microsecond))
			if diff := cmp.Diff(tt.want, got.Failure); diff != "" {
				t.Errorf("failure (-want +got):\n%s", diff)
			}
			if complete == tt.incomplete {
				t.Errorf("complete: %v, want %v", complete, !tt.incomplete)
			}
			if len(got.Message.Headers) > 0 {
				t.Errorf("headers %v, want none", got.Message.Headers)
			}

			m := requeued(Topology{Queue: "q"}, got)
			if m.exchange != amqp.DefaultExchange || m.key != "q.dead-letter" || m.DeliveryMode != amqp.Persistent {
				t.Errorf("requeued to exchange %q with key %q, mode %d", m.exchange, m.key, m.DeliveryMode)
			}
			again, complete := read(deliveryOf(m), time.Now())
			if diff := cmp.Diff(got, again); diff != "" || !complete {
				t.Errorf("second reading, complete: %v, letter (-first +second):\n%s", complete, diff)
			}
		})
	}
}

func TestDeadLetterMessage(t *testing.T) {
	at := time.Date(2026, 11, 23, 11, 0, 0, 0, time.FixedZone("CET", 3600))
	d := amqp.Delivery{
		MessageId: "m", ContentType: "text/plain", Body: []byte("\x00\xff"),
		ContentEncoding: "gzip", CorrelationId: "c", ReplyTo: "r", Type: "t", AppId: "a", Timestamp: at,
		UserId: "guest", Expiration: "1000", Priority: 9,
		Headers: amqp.Table{
			headerAttempts: "1", headerLastFailure: "2026-11-23T10:00:00Z",
			"x-death": []any{}, "x-delivery-count": int64(3), "CC": []any{"other"},
			"text": "a", "bytes": []byte("b"), "number": int64(-1), "nothing": nil, "yes": true,
			"time": time.Date(2026, 11, 23, 11, 0, 0, 0, time.FixedZone("CET", 3600)),
			"list": []any{"a", int64(1)}, "table": amqp.Table{"b": 2, "a": 1},
		},
	}
	letter, _ := read(d, time.Now())
	want := ports.Message{
		ID: "m", ContentType: "text/plain", Body: []byte("\x00\xff"),
		ContentEncoding: "gzip", CorrelationID: "c", ReplyTo: "r", Type: "t", AppID: "a", Timestamp: at.UTC(),
		Headers: map[string]string{
			"text": "a", "bytes": "b", "number": "-1", "nothing": "<nil>", "yes": "true",
			"time": "2026-11-23T10:00:00Z", "list": "[a 1]", "table": "map[a:1 b:2]",
		},
	}
	if diff := cmp.Diff(want, letter.Message); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	m := letterMessage(letter.ID, letter.Message, "q")
	if diff := cmp.Diff(message{exchange: amqp.DefaultExchange, key: "q", Publishing: amqp.Publishing{
		MessageId: "m", ContentType: "text/plain", Body: []byte("\x00\xff"), DeliveryMode: amqp.Persistent,
		ContentEncoding: "gzip", CorrelationId: "c", ReplyTo: "r", Type: "t", AppId: "a", Timestamp: at.UTC(),
		Headers: amqp.Table{
			"text": "a", "bytes": "b", "number": "-1", "nothing": "<nil>", "yes": "true",
			"time": "2026-11-23T10:00:00Z", "list": "[a 1]", "table": "map[a:1 b:2]",
		},
	}}, m, cmp.AllowUnexported(message{})); diff != "" {
		t.Errorf("replayed (-want +got):\n%s", diff)
	}
}

// The store may return letters that another program has stored.
func TestReplayOfForeignLetter(t *testing.T) {
	m := letterMessage("l", ports.Message{
		Headers: map[string]string{"x-death": "d", "x-delivery-count": "20", headerAttempts: "9", "from": "elsewhere"},
	}, "q")
	if diff := cmp.Diff(amqp.Table{"from": "elsewhere"}, m.Headers); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if m.MessageId != "l" {
		t.Errorf("message id %q, want the letter's id, by which the broker returns a message that no queue takes", m.MessageId)
	}
}

// A header may take more bytes as text than before.
func TestDeadLetterWithManyHeaders(t *testing.T) {
	d := amqp.Delivery{MessageId: "m", Headers: amqp.Table{headerLastFailure: "2026-11-23T10:00:00Z"}}
	for n := range 5000 {
		d.Headers[strings.Repeat("n", n%7)+string(rune('0'+n))] = int64(-1 << 63)
	}
	letter, complete := read(d, time.Now())
	m := letterMessage(letter.ID, letter.Message, "q")
	if size := encodedSize(m.Headers); !complete || size > maxHeaders || size < maxHeaders/2 {
		t.Errorf("complete: %v, headers of %d bytes, want %d at most", complete, size, maxHeaders)
	}
	again, _ := read(amqp.Delivery{MessageId: "m", Headers: m.Headers}, time.Now())
	if diff := cmp.Diff(letter, again, cmpopts.IgnoreFields(ports.DeadLetter{}, "Failure"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("after a replay (-before +now):\n%s", diff)
	}
}

// However many letters are not kept, half of the prefetch is free again soon.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestSession()
		dr := &drain{pause: drainPause}
		start := time.Now()
		waited := make(chan time.Duration, drainPrefetch)
		for range drainPrefetch {
			go func() {
				if !dr.hold(t.Context(), s) {
					t.Error("hold returned false, want true after the pause")
				}
				waited <- time.Since(start)
			}()
		}
		got := map[time.Duration]int{}
		for range drainPrefetch {
			got[<-waited]++
		}
		want := map[time.Duration]int{500 * time.Millisecond: drainPrefetch / 2, 10 * time.Second: drainPrefetch / 2}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("letters held for (-want +got):\n%s", diff)
		}

		start = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if dr.hold(ctx, s) || time.Since(start) != time.Second {
			t.Errorf("held for %v, want until Drain's context ends", time.Since(start))
		}
		time.AfterFunc(time.Second, func() { s.end(errors.New("cut")) })
		if dr.hold(t.Context(), s) || time.Since(start) != 2*time.Second {
			t.Errorf("held for %v, want until the session ends", time.Since(start))
		}
		if n := dr.held.Load(); n != 0 {
			t.Errorf("%d letters are held after all calls have returned", n)
		}
	})
}
