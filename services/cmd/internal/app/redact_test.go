package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		`unexpected argument mongodb://user:hunter2@host/db`:    `unexpected argument mongodb://user:xxxxx@host/db`,
		`"amqp://user:hun/ter2@host:5672/"`:                     `"amqp://…@host:5672/"`,
		`"amqp://user:hun@ter2@host"`:                           `"amqp://…@host"`,
		`amqp://user:hun:ter2@host`:                             `amqp://…@host`,
		`amqp://user:hun ter2@host`:                             `amqp://…@host`,
		"amqp://user:hun\nter2@host":                            `amqp://…@host`,
		`amqp://user:hun#ter2@host`:                             `amqp://…@host`,
		`amqp://user:hun?ter2@host/?x=hunter2 failed`:           `amqp://…@host/?… failed`,
		`amqp://user:hun\"ter2@host`:                            `amqp://…@host`,
		`amqp://:hunter2@host`:                                  `amqp://:xxxxx@host`,
		`amqp://hunter2@host`:                                   `amqp://…@host`,
		`user:hunter2@host/db is no URL`:                        `…@host/db is no URL`,
		`mongodb:/user:hunter2@host/db`:                         `…@host/db`,
		`--store=user:hunter2@host`:                             `--store=…@host`,
		`mongodb+srv://u:hunter2@h/d, amqps://v:hunter2@i/`:     `mongodb+srv://u:xxxxx@h/d, amqps://v:xxxxx@i/`,
		`mongodb://h/d?tlsCertificateKeyFilePassword=hunter2 x`: `mongodb://h/d?… x`,
		`mongodb://u:hunter2@h1:27017,h2:27017/d`:               `mongodb://u:xxxxx@h1:27017,h2:27017/d`,
		`unexpected argument h/x?password=hunter2&x=1`:          `unexpected argument h/x?password=…&x=1`,
		`mongodb%3A%2F%2Fu%3Ahunter2%40h/x`:                     `mongodb%3A%2F%2F…%40h/x`,
		`dial tcp 127.0.0.1:1: connection refused`:              `dial tcp 127.0.0.1:1: connection refused`,
		`--addr: "x" is no address; give HOST:PORT, or :8080`:   `--addr: "x" is no address; give HOST:PORT, or :8080`,
		`http://localhost:8080/readyz: 503`:                     `http://localhost:8080/readyz: 503`,
		`write to admin@example.com`:                            `write to admin@example.com`,
	} {
		got := Redact(text)
		if got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
		if again := Redact(got); again != got {
			t.Errorf("%q: redacted twice %q, once %q", text, again, got)
		}
	}
}

// Redact hides passwords with any characters.
func FuzzRedact(f *testing.F) {
	f.Add("p", "host/db")
	f.Add("://", "x@y")
	f.Fuzz(func(t *testing.T, odd, rest string) {
		secret := "hun" + odd + "ter2"
		got := Redact("order: read mongodb://user:" + secret + "@" + rest)
		if !strings.Contains(rest, "ter2") && strings.Contains(got, "ter2") {
			t.Errorf("%q shows a part of the password %q", got, secret)
		}
	})
}

// The log hides the secrets of errors, also of wrapped ones, and characters that
// control a terminal.
func TestLogHidesSecrets(t *testing.T) {
	secret := errors.Join(errors.New("first"), fmt.Errorf("open: %w", errors.New("dial amqp://u:hun/ter2@host")))
	for _, format := range []string{"json", "text"} {
		c := Common{LogFormat: format, LogLevel: "info"}
		var out bytes.Buffer
		log := c.logger(&out).With("error", secret)
		log.Error("failed", slog.Group("g", "reason", secret), "path", "a\u009b2J\u007f", "plain\u0085", "\u007f")
		if got := out.String(); strings.Contains(got, "ter2") || !strings.Contains(got, "host") || strings.ContainsAny(got, "\u007f\u0085\u009b") {
			t.Errorf("%s: %q", format, got)
		}
		out.Reset()
		h := c.noticeHandler(newOutput(&out, c.resumed, nil))
		if err := h.Handle(context.Background(), slog.NewRecord(began, slog.LevelInfo, "a\u009b\u007f", 0)); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); strings.ContainsAny(got, "\u007f\u009b") || !strings.HasSuffix(got, "\n") {
			t.Errorf("%s notice: %q", format, got)
		}
	}
}
