package wire_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"example.com/orderflow/adapters/internal/eventschema"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/order"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const golden = "../../testdata/events/order_created.json"

func event(t testing.TB) domain.Event {
	t.Helper()
	order, err := domain.NewOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", "123", `Laptop 15" <b>é界</b>`, 1,
		time.Date(2026, 11, 23, 10, 0, 0, 120_000_000, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	return order.Created()
}

// The golden file is the contract with consumers in other languages.
func TestGolden(t *testing.T) {
	m, err := wire.Encode(event(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema(t).Check(m); err != nil {
		t.Errorf("the message differs from its description: %v", err)
	}
	got, err := json.MarshalIndent(struct {
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}{m.Headers, string(m.Body)}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("message (-want +got; -update rewrites it):\n%s", diff)
	}
}

// Queues, dead letters and delivery records have messages of each form, so every later
// version must read them. A form never changes; a new one is a new file.
func TestReadsEveryForm(t *testing.T) {
	files, err := filepath.Glob("../../testdata/events/forms/*.json")
	if err != nil || len(files) < 2 {
		t.Fatalf("found %v, error %v", files, err)
	}
	current := false
	newest := readForm(t, golden)
	for _, file := range files {
		m := readForm(t, file)
		got, err := wire.Decode(m)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if diff := cmp.Diff(event(t), got); diff != "" {
			t.Errorf("%s: event (-want +got):\n%s", file, diff)
		}
		current = current || cmp.Equal(m, newest)
	}
	if !current {
		t.Errorf("testdata/events/forms has no copy of %s, so later versions may not read it", golden)
	}
}

// A major version that this one does not know becomes a dead letter with the reason,
// and keeps its message.
func TestLaterMajorVersion(t *testing.T) {
	m := readForm(t, golden)
	m.Headers[wire.HeaderDataSchema] = "urn:orderflow:order.created:2.0"
	_, err := wire.Decode(m)
	letter := wire.DeadLetter("", m, ports.Failure{Reason: fmt.Sprint(err)})
	if want := "update it, then replay the dead letter"; !strings.Contains(letter.Failure.Reason, want) {
		t.Errorf("reason %q, want one with %q", letter.Failure.Reason, want)
	}
	if !strings.HasPrefix(letter.ID, "unreadable-") || !cmp.Equal(letter.Message, m) {
		t.Errorf("dead letter %q of %+v, want the message unchanged", letter.ID, letter.Message)
	}
}

func readForm(t *testing.T, file string) (m ports.Message) {
	t.Helper()
	text, err := os.ReadFile(file)
	var form struct {
		Headers map[string]string
		Body    string
	}
	if err == nil {
		err = json.Unmarshal(text, &form)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ports.Message{Headers: form.Headers, Body: []byte(form.Body)}
}

func schema(t testing.TB) *eventschema.Message {
	t.Helper()
	schema, err := eventschema.Load(order.AsyncAPI, "OrderCreated")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// The description holds for every order that the domain accepts.
func TestMessagesAreDescribed(t *testing.T) {
	schema := schema(t)
	text := rapid.StringOf(rapid.Rune())
	rapid.Check(t, func(t *rapid.T) {
		order, err := domain.KnownOrder("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234", text.Draw(t, "user"), text.Draw(t, "product"),
			rapid.IntRange(1, domain.MaxQuantity).Draw(t, "quantity"),
			time.UnixMilli(rapid.Int64Range(-62135596799999, 253402300799999).Draw(t, "created at")))
		if err != nil {
			t.Skip()
		}
		m, err := wire.Encode(order.Created())
		if err == nil {
			err = schema.Check(m)
		}
		if err != nil {
			t.Fatalf("%v: %v %s", err, m.Headers, m.Body)
		}
	})
}

func TestRoundTrip(t *testing.T) {
	want := event(t)
	m, err := wire.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

func TestDecodeOfLaterVersion(t *testing.T) {
	want := event(t)
	m, err := wire.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	m.Headers[wire.HeaderDataSchema] = "urn:orderflow:order.created:1.17"
	m.Headers["ce-unheardof"] = "1"
	m.Body = []byte(strings.Replace(string(m.Body), "{", `{"currency":"EUR",`, 1))
	got, err := wire.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
}

// A message has headers only for what is known of its origin. Those that break a rule
// are not read.
func TestOrigin(t *testing.T) {
	whole := domain.Origin{RequestID: "id", TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "a=b"}
	headers := map[string]string{wire.HeaderRequestID: whole.RequestID, wire.HeaderTraceParent: whole.TraceParent, wire.HeaderTraceState: whole.TraceState}
	broken := domain.Origin{RequestID: "a b", TraceParent: "00-0-0-00", TraceState: "a=b"}
	for _, tt := range []struct {
		origin, want domain.Origin
		headers      map[string]string
	}{
		{domain.Origin{}, domain.Origin{}, nil},
		{broken, domain.Origin{}, nil},
		{whole, whole, headers},
	} {
		e := event(t)
		bare, err := wire.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		e.Origin = tt.origin
		m, err := wire.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.Decode(m)
		if err != nil || got.Origin != tt.want {
			t.Errorf("origin %+v becomes %+v, error %v, want %+v", tt.origin, got.Origin, err, tt.want)
		}
		maps.DeleteFunc(m.Headers, func(name, value string) bool { return bare.Headers[name] == value })
		if diff := cmp.Diff(tt.headers, m.Headers, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("headers of %+v (-want +got):\n%s", tt.origin, diff)
		}
	}
	m, err := wire.Encode(event(t))
	if err != nil {
		t.Fatal(err)
	}
	m.Headers[wire.HeaderRequestID], m.Headers[wire.HeaderTraceParent], m.Headers[wire.HeaderTraceState] = broken.RequestID, broken.TraceParent, broken.TraceState
	if got, err := wire.Decode(m); err != nil || got != event(t) {
		t.Errorf("message with a broken origin: %+v, error %v", got, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct {
		name         string
		header, text string // a changed header
		body         string // if not empty, another body
		want         string // part of the error
	}{
		{"no version", wire.HeaderSpecVersion, "", "", `header ce-specversion is ""`},
		{"other version", wire.HeaderSpecVersion, "0.3", "", `header ce-specversion is "0.3"`},
		{"no name of a schema", wire.HeaderDataSchema, "", "", `header ce-dataschema is "", want "urn:orderflow:order.created:1.0"`},
		{"another schema", wire.HeaderDataSchema, "urn:orderflow:order.lost:1.0", "", `header ce-dataschema is "urn:orderflow:order.lost:1.0", want "urn:orderflow:order.created:1.0"`},
		{"next major version", wire.HeaderDataSchema, "urn:orderflow:order.created:2.0", "", `header ce-dataschema is "urn:orderflow:order.created:2.0", and this version of orderflow reads major version 1: update it, then replay the dead letter`},
		{"major version 10", wire.HeaderDataSchema, "urn:orderflow:order.created:10.0", "", `reads major version 1`},
		{"no major version", wire.HeaderDataSchema, "urn:orderflow:order.created:.0", "", `reads major version 1`},
		{"unknown type", wire.HeaderType, "order.lost", "", `header ce-type is "order.lost"`},
		{"no time", wire.HeaderTime, "", "", "header ce-time"},
		{"zero time", wire.HeaderTime, "0001-01-01T00:00:00Z", "", "header ce-time is the zero time"},
		{"time before the year 1, in UTC", wire.HeaderTime, "0001-01-01T00:00:00+01:00", "", "header ce-time is not in the years 1 to 9999"},
		{"time after the year 9999, in UTC", wire.HeaderTime, "9999-12-31T23:59:59-01:00", "", "header ce-time is not in the years 1 to 9999"},
		{"order's time after the year 9999, in UTC", "", "", `{"id":"0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234","user_id":"u","product":"p","quantity":1,"created_at":"9999-12-31T23:59:59-01:00"}`, "body: created_at must be in the years 1 to 9999"},
		{"no id", wire.HeaderID, "", "", `header ce-id is ""`},
		{"another order's id", wire.HeaderID, "0192f0c1-2d3e-7f4a-8b5c-6d7e8f90ffff-created", "", "not an event of order 0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"},
		{"empty body", "", "", " ", "body: unexpected end"},
		{"not JSON", "", "", "hello", "body: invalid character"},
		{"list", "", "", "[]", "body: json: cannot unmarshal array"},
		{"two values", "", "", "{} {}", "body: invalid character"},
		{"wrong type", "", "", `{"quantity":"1"}`, "body: json: cannot unmarshal string"},
		{"no creation time", "", "", `{"id":"0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"}`, "body: created_at"},
		{"broken rule", "", "", `{"id":"0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234","user_id":"u","product":"p","quantity":0,"created_at":"2026-11-23T10:00:00Z"}`, "body: quantity must be at least 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := wire.Encode(event(t))
			if err != nil {
				t.Fatal(err)
			}
			if tt.header != "" {
				m.Headers[tt.header] = tt.text
			}
			if tt.body != "" {
				m.Body = []byte(tt.body)
			}
			got, err := wire.Decode(m)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
			if got != (domain.Event{}) {
				t.Errorf("got %+v with the error", got)
			}
		})
	}
}

// What Decode accepts keeps the domain's rules and survives another round trip.
func FuzzDecode(f *testing.F) {
	m, err := wire.Encode(event(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Headers[wire.HeaderID], m.Headers[wire.HeaderTime], m.Body)
	f.Add("", "", []byte("{}"))
	f.Add(m.Headers[wire.HeaderID], "2026-11-23T10:00:00.1234+05:00", []byte(`{"id":null}`))
	f.Fuzz(func(t *testing.T, id, at string, body []byte) {
		headers := maps.Clone(m.Headers)
		headers[wire.HeaderID], headers[wire.HeaderTime] = id, at
		event, err := wire.Decode(ports.Message{Headers: headers, Body: body})
		if err != nil {
			return
		}
		o := event.Order
		if _, err := domain.NewOrder(o.ID, o.UserID, o.Product, o.Quantity, o.CreatedAt); err != nil {
			t.Fatalf("accepted an order that breaks a rule: %v", err)
		}
		again, err := wire.Encode(event)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.Decode(again)
		if err != nil {
			t.Fatalf("refused a message from Encode: %v", err)
		}
		if diff := cmp.Diff(event, got); diff != "" {
			t.Errorf("event after another round trip (-first +second):\n%s", diff)
		}
	})
}

func TestEncodeRefuses(t *testing.T) {
	other := domain.OrderID("0192f0c1-2d3e-7f4a-8b5c-6d7e8f900000")
	for name, tt := range map[string]struct {
		spoil func(*domain.Event)
		want  string
	}{
		"another type": {func(e *domain.Event) { e.ID, e.Type = domain.EventID(e.Order.ID+"-cancelled"), "order.cancelled" },
			`encode event "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234-cancelled" of type "order.cancelled": unknown type of event; the only one is "order.created"`},
		"another order's id": {func(e *domain.Event) { e.ID = domain.EventID(other) + "-created" },
			`encode event "0192f0c1-2d3e-7f4a-8b5c-6d7e8f900000-created" of type "order.created": its id does not belong to its order "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"`},
		"no time": {func(e *domain.Event) { e.Time = time.Time{} },
			`encode event "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234-created" of type "order.created": it has no time`},
		"a time that can't be written": {func(e *domain.Event) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
			`encode event "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234-created" of type "order.created": its time, or its order's, is not in the years 1 to 9999`},
		"an order's time that can't be written": {func(e *domain.Event) { e.Order.CreatedAt = time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC) },
			`encode event "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234-created" of type "order.created": its time, or its order's, is not in the years 1 to 9999`},
		"a long id": {func(e *domain.Event) { e.ID = domain.EventID(strings.Repeat("x", 1<<20)) },
			`encode event "` + strings.Repeat("x", 100) + `" of type "order.created": its id does not belong to its order "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234"`},
	} {
		t.Run(name, func(t *testing.T) {
			e := event(t)
			tt.spoil(&e)
			_, err := wire.Encode(e)
			if err == nil {
				t.Fatal("no error")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}
