package app

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/orderflow/adapters/logchannel"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw1234567890ab"

func open(n Notifying) (*Channels, error) {
	if n.Language == "" {
		n.Language = "en"
	}
	return n.OpenChannels(logchannel.New(slog.DiscardHandler), slog.New(slog.DiscardHandler))
}

// Every fault of a file is reported at once, with its line, and without a secret.
func TestFaultsOfChannelsFiles(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatal(inputs, err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			_, err := open(Notifying{ChannelsFile: input})
			got := fmt.Sprintln(err)
			if strings.Contains(got, "hunter2") {
				t.Error("the password is shown")
			}
			golden := strings.TrimSuffix(input, ".yaml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got; -update rewrites the golden file):\n%s", diff)
			}
		})
	}
}

// summary is what a test compares of a channel.
type summary struct {
	Name, Kind, Queue string
	To                []string
	Rate              float64
	Prefetch          int
	Schedule          notification.Schedule
}

func summaries(c *Channels) (all []summary) {
	for _, o := range c.opened {
		all = append(all, summary{o.name, o.kind, queueName(o.name), o.recipients(), o.rate, o.prefetch, o.schedule})
	}
	return all
}

// The example that the documentation shows is valid.
func TestExampleOfAChannelsFile(t *testing.T) {
	t.Setenv("ERP_SECRET", testSecret)
	channels, err := open(Notifying{ChannelsFile: "../../../../testdata/channels/channels.yaml", Rate: "webhook=50"})
	if err != nil {
		t.Fatal(err)
	}
	defer channels.Close()
	erp := notification.Schedule{Base: 10e9, Factor: 2, Cap: 3600e9, Jitter: 0.2, Horizon: 7 * 24 * 3600e9}
	want := []summary{
		{"log", "log", "order_created", nil, 0, 0, notification.DefaultSchedule},
		{"email", "smtp", "order_created.email", []string{"users", "warehouse", "by mail.example.com:587"}, 20, 16, notification.PatientSchedule},
		{"webhook", "webhook", "order_created.webhook", []string{"users"}, 50, 0, notification.PatientSchedule},
		{"erp", "webhook", "order_created.erp", []string{"orders at erp.example.com#e05792cd"}, 0, 0, erp},
	}
	if diff := cmp.Diff(want, summaries(channels)); diff != "" {
		t.Errorf("channels (-want +got):\n%s", diff)
	}
	if channels.Alerts == nil {
		t.Error("no alerts")
	}
	text, err := os.ReadFile("../../../../testdata/channels/channels.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for kind, settings := range settingsOf {
		for _, setting := range settings {
			if !strings.Contains(string(text), setting+": ") && !strings.Contains(string(text), setting+":\n") {
				t.Errorf("the example does not have %s of kind %s", setting, kind)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{"email": 16, "webhook": notification.DefaultConcurrency, "erp": notification.DefaultConcurrency}, channels.prefetch()); diff != "" {
		t.Errorf("prefetch (-want +got):\n%s", diff)
	}
}

// A line of the log names each channel, with its recipients if it has some.
func TestRoutesLogChannels(t *testing.T) {
	var log bytes.Buffer
	n := Notifying{SMTP: "smtp://mail.example.com/?from=shop@example.com", Language: "en"}
	channels, err := n.OpenChannels(logchannel.New(slog.DiscardHandler), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer channels.Close()
	channels.Routes(&Broker{Queue: func(string) ports.EventQueue { return nil }})
	for _, want := range []string{"name=log kind=log queue=order_created\n", "queue=order_created.email to=\"[users by mail.example.com:587]\"\n"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("logged, want %q:\n%s", want, &log)
		}
	}
}

// Flags add their channels to the channel log, or to those of a file.
func TestChannelsOfFlags(t *testing.T) {
	secret := writeFile(t, testSecret+"\n")
	password := writeFile(t, "hunter2\n")
	file := writeFile(t, "channels:\n  - {name: erp, kind: webhook, secret_file: "+secret+", to: users}\n")
	taken := writeFile(t, "channels:\n  - {name: email, kind: smtp, url: 'smtp://h/?from=a@b.example', to: users}\nalerts: {channel: email, to: a@b.example}\n")
	const mail = "smtp://mail.example.com/?from=shop@example.com"
	for _, tt := range []struct {
		name     string
		settings Notifying
		variable string // WEBHOOK_SECRET
		want     string // the channels with their recipients, or a part of the error
	}{
		{"nothing", Notifying{}, "", "log[]"},
		{"mail", Notifying{SMTP: mail}, "", "log[] email[users by mail.example.com:587]"},
		{"mail with a password", Notifying{SMTP: "smtp://u@mail.example.com/?from=shop@example.com", SMTPPasswordFile: password}, "", "log[] email[users by mail.example.com:587]"},
		{"mail without its password", Notifying{SMTP: "smtp://u@mail.example.com/?from=shop@example.com"}, "", "--smtp: read URL of the mail server: the user needs a password"},
		{"password twice", Notifying{SMTP: "smtp://u:hunter2@h/?from=a@b.example", SMTPPasswordFile: password}, "", "--smtp: read URL of the mail server: the password is given twice"},
		{"no password file", Notifying{SMTP: mail, SMTPPasswordFile: "hunter2"}, "", "--smtp-password-file: open file: no such file"},
		{"no password file at a path", Notifying{SMTP: mail, SMTPPasswordFile: "/nope/password"}, "", `--smtp-password-file: "/nope/password": open file: no such file`},
		{"no password file in a folder", Notifying{SMTP: mail, SMTPPasswordFile: "testdata/password"}, "", `--smtp-password-file: "testdata/password": open file: no such file`},
		{"secret instead of its file", Notifying{WebhookSecretFile: "whsec_/hunter2"}, "", "--webhook-secret-file: open file: no such file"},
		{"login instead of a file", Notifying{WebhookSecretFile: "/u:hunter2@h"}, "", `--webhook-secret-file: "…@h": open file: no such file`},
		{"empty password file", Notifying{SMTP: mail, SMTPPasswordFile: writeFile(t, "\n")}, "", "the file is empty"},
		{"password of two lines", Notifying{SMTP: mail, SMTPPasswordFile: writeFile(t, "hunter2\nx\n")}, "", "the file must have one value, on one line"},
		{"folder as password file", Notifying{SMTP: mail, SMTPPasswordFile: t.TempDir()}, "", "is a directory"},
		{"wrong mail", Notifying{SMTP: "smtp://u:hunter2@h/#?from=a@b.example"}, "", "--smtp: read URL of the mail server: it must be like smtp://user:password@host:587/?from=shop@example.com"},
		{"secret alone", Notifying{WebhookSecretFile: secret}, "", "log[] webhook[users]"},
		{"secret by variable", Notifying{}, testSecret, "log[] webhook[users]"},
		{"two secrets", Notifying{WebhookSecretFile: writeFile(t, testSecret+"\n"+testSecret+"\n")}, "", "log[] webhook[users]"},
		{"webhook", Notifying{Webhook: "https://example.com/h", WebhookSecretFile: secret}, "", "log[] webhook[users operator at example.com#"},
		{"webhook without a secret", Notifying{Webhook: "https://example.com/h"}, "", "--webhook-secret-file: --webhook needs a secret"},
		{"webhook by http", Notifying{Webhook: "http://example.com/hunter2", WebhookSecretFile: secret}, "", "--webhook: the URL must begin with https://"},
		{"private webhook", Notifying{Webhook: "http://localhost/h", WebhookSecretFile: secret, WebhookAllowPrivate: true}, "", "log[] webhook[users operator at localhost"},
		{"secret twice", Notifying{WebhookSecretFile: secret}, testSecret, "--webhook-secret-file: the variable WEBHOOK_SECRET has a secret, too"},
		{"wrong secret", Notifying{}, "hunter2", "WEBHOOK_SECRET: webhook channel: secret 1 of 1 must be whsec_"},
		{"file", Notifying{ChannelsFile: file}, "", "log[] erp[users]"},
		{"file and flag", Notifying{ChannelsFile: file, SMTP: mail}, "", "log[] erp[users] email[users by mail.example.com:587]"},
		{"file with the flag's channel", Notifying{ChannelsFile: taken, SMTP: mail}, "", "--smtp: it adds the channel email, which"},
		{"no file", Notifying{ChannelsFile: "none.yaml"}, "", `--channels: "none.yaml": open file: no such file`},
		{"rate of an unknown channel", Notifying{SMTP: mail, Rate: "email=20,sms=1"}, "", "--rate: no channel is named sms; the channels are log, email"},
		{"several faults", Notifying{SMTP: "x", Webhook: "y", Templates: "none"}, "", "--smtp: read URL"},
		{"unknown language", Notifying{SMTP: mail, Language: "xx"}, "", `--default-language: read templates: the default language "xx" has no templates`},
		{"no templates", Notifying{SMTP: mail, Templates: t.TempDir()}, "", "--templates: "},
		{"alerts by mail", Notifying{SMTP: mail, Alerts: "mailto:ops@example.com"}, "", "alerts"},
		{"alerts by webhook", Notifying{WebhookSecretFile: secret, Alerts: "https://example.com/alerts"}, "", "alerts"},
		{"alerts without a mail server", Notifying{Alerts: "mailto:ops@example.com"}, "", "--alerts: no mail server is configured"},
		{"alerts without a secret", Notifying{Alerts: "https://example.com/alerts"}, "", "--alerts: no channel signs webhooks"},
		{"alerts to nobody", Notifying{SMTP: mail, Alerts: "mailto:"}, "", "--alerts: the address must be an address"},
		{"alerts by fax", Notifying{SMTP: mail, Alerts: "fax:1"}, "", "--alerts: it is neither mailto:ADDRESS"},
		{"alerts twice", Notifying{ChannelsFile: taken, Alerts: "mailto:ops@example.com"}, "", "says where alerts go, too"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(webhookSecret, tt.variable)
			channels, err := open(tt.settings)
			var got string
			switch {
			case err != nil:
				got = err.Error()
			case tt.settings.Alerts != "" && channels.Alerts != nil:
				got = "alerts"
			default:
				var all []string
				for _, s := range summaries(channels) {
					all = append(all, fmt.Sprintf("%s%v", s.Name, s.To))
				}
				got = strings.Join(all, " ")
			}
			if !strings.Contains(got, tt.want) || strings.Contains(got, "hunter2") && !strings.Contains(tt.want, "hunter2") {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
			if channels != nil {
				channels.Close()
			}
		})
	}
}

func writeFile(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
