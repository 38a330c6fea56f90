package domain_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/domain"
)

const id = domain.OrderID("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234")

var at = time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.FixedZone("CET", 3600))

func TestNewOrder(t *testing.T) {
	got, err := domain.NewOrder(id, "123", "Laptop", 1, at)
	if err != nil {
		t.Fatal(err)
	}
	want := domain.Order{
		ID: id, UserID: "123", Product: "Laptop", Quantity: 1,
		CreatedAt: time.Date(2026, 11, 23, 9, 0, 0, 123000000, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if got.CreatedAt.Location() != time.UTC {
		t.Errorf("created at %v, want UTC", got.CreatedAt)
	}
}

func TestNewOrderLimits(t *testing.T) {
	tests := []struct {
		name     string
		id       domain.OrderID
		user     string
		product  string
		quantity int
		at       time.Time
		want     string // the error; empty: valid
	}{
		{"smallest", id, "u", "p", 1, at, ""},
		{"largest", id, strings.Repeat("ü", 128), strings.Repeat("界", 256), 1_000_000, at, ""},
		{"no user", id, "", "p", 1, at, "user_id is missing"},
		{"long user", id, strings.Repeat("ü", 129), "p", 1, at, "user_id must have at most 128 characters"},
		{"long product", id, "u", strings.Repeat("界", 257), 1, at, "product must have at most 256 characters"},
		{"broken UTF-8", id, "u", "a\xff", 1, at, "product must be valid UTF-8"},
		{"line break", id, "u\n", "p", 1, at, "user_id must not contain control characters"},
		{"delete", id, "u", "p\u007f", 1, at, "product must not contain control characters"},
		{"C1 control", id, "u", "p\u0085", 1, at, "product must not contain control characters"},
		{"replacement", id, "u", "p\ufffd", 1, at, "product must not contain the replacement character U+FFFD, which stands for broken text"},
		{"a visible character between invisible ones", id, "\u200bu\u3164", "\u00a0.", 1, at, ""},
		{"only spaces", id, "u", "  ", 1, at, "product must have a visible character"},
		{"only invisible characters", id, "\u00a0", "\u200b\u200d\ufe0f", 1, at, "user_id must have a visible character; product must have a visible character"},
		{"quantity 0", id, "u", "p", 0, at, "quantity must be at least 1"},
		{"quantity too large", id, "u", "p", 1_000_001, at, "quantity must be at most 1000000"},
		{"no time", id, "u", "p", 1, time.Time{}, "created_at is missing"},
		{"first year", id, "u", "p", 1, time.Date(1, 1, 1, 0, 0, 0, 1e6, time.UTC), ""},
		{"last year", id, "u", "p", 1, time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), ""},
		{"year 0", id, "u", "p", 1, time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC), "created_at must be in the years 1 to 9999"},
		{"year 0 in UTC", id, "u", "p", 1, time.Date(1, 1, 1, 0, 30, 0, 0, time.FixedZone("CET", 3600)), "created_at must be in the years 1 to 9999"},
		{"year 10000", id, "u", "p", 1, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "created_at must be in the years 1 to 9999"},
		{"upper case id", "0192F0C1-2D3E-7F4A-8B5C-6D7E8F901234", "u", "p", 1, at, "id must be a UUID in lower case with hyphens"},
		{"short id", "0192f0c1", "u", "p", 1, at, "id must be a UUID in lower case with hyphens"},
		{"no hyphen", "0192f0c1x2d3e-7f4a-8b5c-6d7e8f901234", "u", "p", 1, at, "id must be a UUID in lower case with hyphens"},
		{"every field", "", "", "", -1, at, "id must be a UUID in lower case with hyphens; user_id is missing; product is missing; quantity must be at least 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			order, err := domain.NewOrder(tt.id, tt.user, tt.product, tt.quantity, tt.at)
			if tt.want == "" {
				if err != nil {
					t.Fatalf("got error %q, want none", err)
				}
				return
			}
			var invalid *domain.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("got error %v, want an InvalidError", err)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if order != (domain.Order{}) {
				t.Errorf("got %+v beside the error", order)
			}
		})
	}
}

func TestInvisibleCharacters(t *testing.T) {
	invisible := []rune{
		' ', '\u00a0', '\u1680', '\u2003', '\u2028', '\u2029', '\u202f', '\u205f', '\u3000', // blanks
		'\u00ad', '\u061c', '\u180e', '\u200b', '\u200f', '\u202e', '\u2060', '\u2064', '\u2069', '\ufeff', '\U000e0020', // format characters
		'\u180b', '\u180f', '\ufe00', '\ufe0f', '\U000e0100', '\U000e01ef', // variation selectors
		'\u034f', '\u17b4', '\u17b5', '\u2065', '\ufff0', '\U000e0000', '\U000e0fff', // default-ignorable
		'\u115f', '\u1160', '\u3164', '\uffa0', // Hangul fillers
		'\u2800', '\U00013441', '\U00013442', '\U00016fe4', '\U0001d159', // blank symbols, letters and marks
		'\ufdd0', '\ufffe', '\U0010ffff', // noncharacters
	}
	for _, r := range invisible {
		if _, err := domain.NewOrder(id, "u", string(r), 1, at); err == nil || err.Error() != "product must have a visible character" {
			t.Errorf("%U alone: got error %v", r, err)
		}
		if _, err := domain.NewOrder(id, "u", string(r)+"x"+string(r), 1, at); err != nil {
			t.Errorf("%U around a letter: %v", r, err)
		}
	}
	for _, r := range "x0.-界ü\u0301\U0001F6D2\u2801\ue000\u0378" { // the last two: a private-use and an unassigned one
		if _, err := domain.NewOrder(id, "u", string(r), 1, at); err != nil {
			t.Errorf("%U alone: %v", r, err)
		}
	}
}

// KnownOrder accepts every order that an earlier version accepted.
func TestKnownOrder(t *testing.T) {
	got, err := domain.KnownOrder(id, " ", "\u200b", 1, at)
	want := domain.Order{ID: id, UserID: " ", Product: "\u200b", Quantity: 1, CreatedAt: at.UTC().Truncate(time.Millisecond)}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v; order (-want +got):\n%s", err, diff)
	}
	if _, err := domain.KnownOrder(id, "", "a\n", 0, at); err == nil ||
		err.Error() != "user_id is missing; product must not contain control characters; quantity must be at least 1" {
		t.Errorf("got %v, want every other rule to hold", err)
	}
}

// The checks of a user id are those of orders.
func TestCheckUserID(t *testing.T) {
	for _, user := range []string{"u", "", "\xff", "u\n", " ", "\u200b", strings.Repeat("ü", 128), strings.Repeat("ü", 129)} {
		_, asNew := domain.NewOrder(id, user, "p", 1, at)
		if diff := cmp.Diff(text(asNew), text(domain.CheckUserID(user))); diff != "" {
			t.Errorf("CheckUserID(%q) (-as an order's +got):\n%s", user, diff)
		}
		_, asKnown := domain.KnownOrder(id, user, "p", 1, at)
		if diff := cmp.Diff(text(asKnown), text(domain.CheckKnownUserID(user))); diff != "" {
			t.Errorf("CheckKnownUserID(%q) (-as an order's +got):\n%s", user, diff)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseOrderID(t *testing.T) {
	for _, s := range []string{string(id), strings.ToUpper(string(id)), "0192F0c1-2d3E-7f4a-8B5c-6d7e8f901234"} {
		if got, err := domain.ParseOrderID(s); err != nil || got != id {
			t.Errorf("%q: got %q, %v; want %q", s, got, err, id)
		}
	}
	for _, s := range []string{"", "42", string(id) + "0", "{" + string(id[1:35]) + "}", strings.ReplaceAll(string(id), "-", ""), "\u212a" + string(id[3:])} {
		if got, err := domain.ParseOrderID(s); err == nil || err.Error() != "id must be a UUID with hyphens" {
			t.Errorf("%q: got %q, error %v", s, got, err)
		}
	}
}

func TestCreated(t *testing.T) {
	order, err := domain.NewOrder(id, "123", "Laptop", 1, at)
	if err != nil {
		t.Fatal(err)
	}
	event := order.Created()
	want := domain.Event{
		ID: "0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234-created", Type: "order.created",
		Time: order.CreatedAt, Order: order,
	}
	if diff := cmp.Diff(want, event); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if got, ok := event.ID.OrderID(); !ok || got != id {
		t.Errorf("event's order is %q, %v; want %q", got, ok, id)
	}
}

func TestOrderIDOfOtherEventIDs(t *testing.T) {
	for _, bad := range []domain.EventID{"", "x", domain.EventID(id), domain.EventID(id) + "-", domain.EventID(id) + "+created", "0192f0c1-2d3e-7f4a-8b5c-6d7e8f90123X-created",
		"-created", domain.EventID(id) + "-created-2", domain.EventID(id) + "-created2", domain.EventID(id) + "-Created", domain.EventID(id) + "-cancelled",
		domain.EventID(strings.ToUpper(string(id))) + "-created", "x" + domain.EventID(id) + "-created"} {
		if order, ok := bad.OrderID(); ok {
			t.Errorf("%q: got order %q, want none", bad, order)
		}
	}
}
