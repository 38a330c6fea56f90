package notification_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

func TestPutContact(t *testing.T) {
	store := new(memory.Store)
	control := newControl(t, storeOf(store))
	contact := ports.Contact{UserID: "ann", Language: "de-CH", Addresses: map[string]string{"email": "ann@x"}, Off: []string{"webhook", "email"}}
	returned, err := control.PutContact(t.Context(), contact, "bob")
	if err != nil {
		t.Fatal(err)
	}
	want := contact
	want.Off = []string{"email", "webhook"}
	stored := must(control.Contact(t.Context(), "ann"))
	if diff := cmp.Diff(want, stored, cmpopts.IgnoreFields(ports.Contact{}, "UpdatedAt")); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(returned, stored); diff != "" {
		t.Errorf("stored (-returned +got):\n%s", diff)
	}
	if at := stored.UpdatedAt; at.IsZero() || at != domain.TruncateTime(at) {
		t.Errorf("updated at %v", at)
	}
	if contact.Off[0] != "webhook" {
		t.Error("the caller's slice has changed")
	}
}

func TestPutContactRefuses(t *testing.T) {
	many := make(map[string]string)
	for i := range 17 {
		many[fmt.Sprint("c", i)] = "x"
	}
	control := newControl(t, storeOf(new(memory.Store)))
	for _, tt := range []struct {
		contact ports.Contact
		want    string
	}{
		{ports.Contact{}, "user_id is missing"},
		{ports.Contact{UserID: "\xff", Language: "?"}, "user_id must be valid UTF-8; language must be a language tag (BCP 47) such as de or pt-BR, of at most 35 characters"},
		{ports.Contact{UserID: "u", Addresses: map[string]string{"email": "x", "webhook": "http://x"}}, "addresses.email must contain @; addresses.webhook must contain https://"},
		{ports.Contact{UserID: "u", Addresses: map[string]string{"email": "\xff@"}}, "addresses.email must be valid UTF-8 without control characters"},
		{ports.Contact{UserID: "u", Addresses: map[string]string{"": "x"}}, "addresses. is not a channel with addresses; known: email, webhook"},
		{ports.Contact{UserID: "u", Off: []string{"log"}}, `off "log" is not a channel with addresses; known: email, webhook; leave others out, because they send users nothing`},
		{ports.Contact{UserID: "u", Addresses: many}, "addresses must be at most 16; addresses.c0 is not"},
	} {
		_, err := control.PutContact(t.Context(), tt.contact, "bob")
		var invalid *domain.InvalidError
		if !errors.As(err, &invalid) || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want %s", tt.contact, err, tt.want)
		}
	}
	none := must(notification.NewControl(storeOf(new(memory.Store)), nil, discard))
	if _, err := none.PutContact(t.Context(), ports.Contact{UserID: "u", Off: []string{"email"}}, "bob"); err == nil || !strings.Contains(err.Error(), "none is configured") {
		t.Errorf("without channels: got %v", err)
	}
}

func TestLanguages(t *testing.T) {
	control := newControl(t, storeOf(new(memory.Store)))
	for tag, ok := range map[string]bool{
		"": true, "de": true, "DE": true, "gsw": true, "pt-BR": true, "es-419": true, "zh-Hant-TW": true, "zh-cmn-Hans-CN": true,
		"sl-rozaj-biske": true, "de-CH-1901": true, "en-a-myext-b-another": true, "de-x-mine": true, "de-DE-u-co-phonebk": true,
		"d": false, "english-": false, "en_US": false, "de--CH": false, "-de": false, "de-": false, "123": false, "de-CH-CH": false,
		"en-a": false, "de-x": false, "dé": false, "de ": false, "de\n": false, "de-x-" + strings.Repeat("abcdefgh-", 5) + "a": false, "*": false,
	} {
		_, err := control.PutContact(t.Context(), ports.Contact{UserID: "u", Language: tag}, "bob")
		if (err == nil) != ok {
			t.Errorf("%q: got %v, want it accepted: %v", tag, err, ok)
		}
	}
}

// A contact's JSON is stored as it is, or refused.
func FuzzContactJSON(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"language":"en","addresses":{"email":"ann@example.com","webhook":"https://x"},"off":["webhook"]}`,
		`{"addresses":{"email":"@","email":"@"}}`, `{"addresses":{"log":"x"}}`, `{"off":["email","email"]}`, `{"addresses":{"email":{"a":1}}}`, `{"language":"e"}`, `[]`, `{"x":1}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		store := new(memory.Store)
		h := newAdmin(newControl(t, storeOf(store)))
		if body == "" {
			return
		}
		status, answer := call(h, "PUT", "/contacts/ann", body)
		contact, err := store.Contacts().Get(t.Context(), "ann")
		switch {
		case status == 200 && err == nil:
			if _, again := call(h, "GET", "/contacts/ann", ""); again != answer {
				t.Errorf("%q: answered %s, then %s", body, answer, again)
			}
			for name, address := range contact.Addresses {
				if name != "email" && name != "webhook" || !strings.Contains(address, map[string]string{"email": "@", "webhook": "https://"}[name]) {
					t.Errorf("%q: stored %q for %q", body, address, name)
				}
			}
		case (status == 400 || status == 422 || status == 413) && errors.Is(err, ports.ErrNotFound):
		default:
			t.Errorf("%q: got %d %s, then %v", body, status, answer, err)
		}
	})
}
