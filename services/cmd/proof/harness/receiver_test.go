package harness

import (
	"fmt"
	"net/http"
	"net/smtp"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// receivers start a receiver, and send a notification with the id to it.
var receivers = map[string]struct {
	start func() (*Receiver, error)
	send  func(addr, id string) error
}{
	Email: {StartMailServer, func(addr, id string) error {
		return smtp.SendMail(addr, nil, "shop@example.com", []string{"ann@example.com"}, []byte("Message-ID: <"+id+"@example.com>\r\n\r\nHello\r\n"))
	}},
	Webhook: {StartWebhookServer, func(addr, id string) error { return sendWebhook(addr, id, WebhookSecret) }},
}

func sendWebhook(addr, id, secret string) error {
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return err
	}
	const body = `{"type":"order.created"}`
	request, err := http.NewRequest(http.MethodPost, "http://"+addr+"/ann", strings.NewReader(body))
	if err != nil {
		return err
	}
	now := time.Now()
	signature, err := signer.Sign(id, now, []byte(body))
	if err != nil {
		return err
	}
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("answered %d", response.StatusCode)
	}
	return nil
}

func TestReceivers(t *testing.T) {
	for name, tt := range receivers {
		t.Run(name, func(t *testing.T) {
			r, err := tt.start()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Kill()
			send := func(id string, wants bool) {
				t.Helper()
				if err := tt.send(r.Addr, id); (err == nil) != wants {
					t.Errorf("notification %s: %v; accepted: want %v", id, err, wants)
				}
			}
			send("a", true)
			send("a", true)
			r.Kill()
			send("b", false)
			if err := r.Start(); err != nil {
				t.Fatal(err)
			}
			r.Refuse(true)
			send("c", false)
			send("c", false)
			r.Refuse(false)
			send("c", true)

			got := r.Arrivals()
			if a, b, c := got["a"], got["b"], got["c"]; len(a.Times) != 2 || len(b.Times) != 0 || len(c.Times) != 1 || c.Refused != 1 || a.Refused != 0 {
				t.Errorf("got %+v; want a twice, b never, and c once after a refusal", got)
			}
			if !strings.Contains(got["a"].To, "ann") || len(r.Sample()) == 0 || r.Count() != 2 || len(r.Faults()) > 0 {
				t.Errorf("to %q, sample %q, count %d, faults %v", got["a"].To, r.Sample(), r.Count(), r.Faults())
			}
		})
	}
}

func TestReceiversFindFaults(t *testing.T) {
	webhooks, err := StartWebhookServer()
	if err != nil {
		t.Fatal(err)
	}
	defer webhooks.Kill()
	if err := sendWebhook(webhooks.Addr, "a", "whsec_b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI="); err == nil || len(webhooks.Faults()) != 1 || webhooks.Count() != 0 {
		t.Errorf("a webhook with another signature: %v, faults %v", err, webhooks.Faults())
	}
	mails, err := StartMailServer()
	if err != nil {
		t.Fatal(err)
	}
	defer mails.Kill()
	err = smtp.SendMail(mails.Addr, nil, "shop@example.com", []string{"ann@example.com"}, []byte("Subject: Hello\r\n\r\nHello\r\n"))
	if err == nil || len(mails.Faults()) != 1 || mails.Count() != 0 {
		t.Errorf("a mail without an id: %v, faults %v", err, mails.Faults())
	}
}
