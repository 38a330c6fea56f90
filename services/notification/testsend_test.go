package notification_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/memory"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// tested is a channel that keeps what it sends.
type tested struct {
	addressRule
	err  error
	sent []ports.Outgoing
}

func (c *tested) Name() string                   { return "email" }
func (c *tested) Receiver(address string) string { return "host of " + address }
func (c *tested) Send(_ context.Context, m ports.Outgoing) (ports.Answer, error) {
	c.sent = append(c.sent, m)
	return ports.Answer{Code: "250", Text: "OK"}, c.err
}

// untexted can't render.
type untexted struct{}

func (untexted) Render(domain.Event, string, bool) (ports.Content, error) {
	return ports.Content{}, errors.New("the template is wrong")
}

func TestSendTest(t *testing.T) {
	channel := &tested{addressRule: addressRule{must: "@"}}
	endpoints := []notification.Endpoint{{Name: "warehouse", Address: "w@example.com"}, {Name: "books", Address: "b@example.com"}}
	h := newAdmin(must(notification.NewControl(storeOf(new(memory.Store)), []notification.ChannelInfo{
		{Name: "log", Sender: channel},
		{Name: "mute"},
		{Name: "email", Addressed: channel, Sender: channel},
		{Name: "one", Addressed: channel, Sender: channel, Endpoints: endpoints[:1]},
		{Name: "two", Addressed: channel, Sender: channel, Endpoints: endpoints},
		{Name: "wrong", Addressed: channel, Sender: channel, Renderer: untexted{}},
	}, discard)))
	const accepted = `^{"at":"[^"]*","duration_ms":\d+,"outcome":"accepted","code":"250","answer":"OK"}$`
	checkAnswers(t, h, []exchange{
		{"POST", "/channels/log/test", ``, 200, accepted},
		{"POST", "/channels/email/test", `{"to":"ann@example.com"}`, 200, accepted},
		{"POST", "/channels/one/test", `{}`, 200, accepted},
		{"POST", "/channels/two/test", `{"receiver":"books"}`, 200, accepted},
		{"POST", "/channels/two/test", `{"receiver":"host of w@example.com"}`, 200, accepted},

		{"POST", "/channels/fax/test", ``, 404, `"code":"not_found"`},
		{"POST", "/channels/mute/test", ``, 422, `"field":"channel"`},
		{"POST", "/channels/log/test", `{"to":"ann@example.com"}`, 422, `"field":"to","detail":"must be left out`},
		{"POST", "/channels/email/test", ``, 422, `"field":"to","detail":"must be the address`},
		{"POST", "/channels/email/test", `{"to":"ann"}`, 422, `"field":"to","detail":"must contain @"`},
		{"POST", "/channels/email/test", `{"to":""}`, 422, `"field":"to","detail":"must not be empty"`},
		{"POST", "/channels/two/test", ``, 422, `"field":"receiver","detail":"must be one of warehouse, books, or`},
		{"POST", "/channels/two/test", `{"to":"a@example.com","receiver":"books"}`, 422, `"field":"to","detail":"or receiver must be left out`},
		{"POST", "/channels/wrong/test", `{"to":"ann@example.com"}`, 500, `"code":"internal"`},
	})
	var to []string
	for _, m := range channel.sent {
		if !m.Test || m.Attempt != 1 || m.ID[:5] != "test-" {
			t.Errorf("sent %+v, want a test", m)
		}
		to = append(to, m.Address)
	}
	if diff := cmp.Diff([]string{"", "ann@example.com", "w@example.com", "b@example.com", "w@example.com"}, to); diff != "" {
		t.Errorf("sent to (-want +got):\n%s", diff)
	}

	channel.err = ports.Postpone(errors.New("connection refused"))
	checkAnswers(t, h, []exchange{{"POST", "/channels/log/test", ``, 200, `"outcome":"unreachable"`}})
}
