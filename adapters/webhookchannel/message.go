package webhookchannel

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/ports"
)

const alertType = "orderflow.alert"

type payload struct {
	Type      string          `json:"type"`
	Timestamp string          `json:"timestamp"`
	Test      bool            `json:"test,omitempty"`
	Data      json.RawMessage `json:"data"`
}

type alertData struct {
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// encode returns the webhook's body. It is the same at each attempt.
func encode(message ports.Outgoing) ([]byte, error) {
	event := message.Event
	p := payload{Type: string(event.Type), Timestamp: event.Time.UTC().Format(wire.TimeFormat), Test: message.Test}
	if event.Type == "" {
		data, err := json.Marshal(alertData{Subject: message.Content.Subject, Text: message.Content.Text})
		if err != nil {
			return nil, fmt.Errorf("encode alert: %w", err)
		}
		p.Type, p.Data = alertType, data
	} else {
		encoded, err := wire.Encode(event)
		if err != nil {
			return nil, err
		}
		p.Data = encoded.Body
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode webhook: %w", err)
	}
	return body, nil
}

// signer signs with one secret.
type signer = *standardwebhooks.Webhook

const (
	secretPrefix = "whsec_"
	minSecret    = 24 // bytes, by the standard
	maxSecret    = 64
)

func newSigners(secrets []string) ([]signer, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret is given; receivers could not recognise forged webhooks")
	}
	signers := make([]signer, len(secrets))
	for i, secret := range secrets {
		encoded, ok := strings.CutPrefix(secret, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || strings.ContainsAny(encoded, "\r\n") || len(key) < minSecret || len(key) > maxSecret {
			return nil, fmt.Errorf("secret %d of %d must be %s followed by the base64 of %d to %d bytes",
				i+1, len(secrets), secretPrefix, minSecret, maxSecret)
		}
		if signers[i], err = standardwebhooks.NewWebhookRaw(key); err != nil {
			return nil, fmt.Errorf("secret %d of %d can't be used", i+1, len(secrets))
		}
	}
	return signers, nil
}

// sign adds the standard's headers.
func sign(header http.Header, signers []signer, id string, at time.Time, body []byte) error {
	if id == "" || strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return fmt.Errorf("the notification's id %q must have visible ASCII characters", id)
	}
	signatures := make([]string, len(signers))
	for i, s := range signers {
		var err error
		if signatures[i], err = s.Sign(id, at, body); err != nil {
			return fmt.Errorf("sign: %w", err)
		}
	}
	header.Set(standardwebhooks.HeaderWebhookID, id)
	header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	header.Set(standardwebhooks.HeaderWebhookSignature, strings.Join(signatures, " "))
	return nil
}
