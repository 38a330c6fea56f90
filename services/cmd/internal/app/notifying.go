package app

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"example.com/orderflow/services/cmd/internal/yamlfile"
)

// Notifying has the settings of a program that sends notifications.
type Notifying struct {
	SMTP             string `name:"smtp" env:"SMTP_URL" filevar:"SMTP_URL_FILE" placeholder:"URL" help:"Mail server, smtp://USER:PASSWORD@HOST:587/?from=ADDRESS or smtps://…; adds the channel email, which writes to users. A flag shows a password in the process list: use the variable, a file that SMTP_URL_FILE names, or --smtp-password-file."`
	SMTPPasswordFile string `name:"smtp-password-file" env:"SMTP_PASSWORD_FILE" placeholder:"FILE" help:"File with the password of --smtp."`

	Webhook             string `env:"WEBHOOK_URL" filevar:"WEBHOOK_URL_FILE" placeholder:"URL" help:"URL that gets every event; adds the channel webhook, which also sends to users' own URLs. Needs a secret. WEBHOOK_URL_FILE may name a file that has it."`
	WebhookSecretFile   string `env:"WEBHOOK_SECRET_FILE" placeholder:"FILE" help:"File with the secrets that sign webhooks, whsec_…, one a line, the newest first; or set WEBHOOK_SECRET. Without --webhook, the channel webhook sends to users alone."`
	WebhookAllowPrivate bool   `env:"WEBHOOK_ALLOW_PRIVATE" help:"Also send webhooks to private, loopback and link-local addresses, and by http."`

	ChannelsFile string `name:"channels" env:"CHANNELS_FILE" placeholder:"FILE" help:"YAML file with further channels, or with settings of the channel log."`
	Templates    string `env:"TEMPLATES" placeholder:"FOLDER" help:"Folder with templates that replace the built-in ones, of channels for which the file names none."`
	Language     string `name:"default-language" env:"DEFAULT_LANGUAGE" default:"en" help:"Language for users without one."`
	Rate         string `env:"RATE" placeholder:"CHANNEL=N,…" help:"Notifications a second that this process sends at most, by channel, such as email=20,webhook=50; others are not limited."`
	Retention    Days   `env:"RETENTION" default:"90d" help:"How long to keep what was sent, skipped or given up, 1d to 3650d; what waits is never deleted."`
	Alerts       string `env:"ALERTS" filevar:"ALERTS_FILE" placeholder:"URL" help:"Where to report what was given up, paused, back or stuck: mailto:ADDRESS (by the channel email) or https://… (by the channel webhook). ALERTS_FILE may name a file that has it."`
}

// Days is a duration that may be written in days, such as 90d.
type Days time.Duration

// String returns the duration as a setting has it.
func (d Days) String() string { return yamlfile.FormatDuration(time.Duration(d)) }

func decodeDays(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	d, err := yamlfile.ParseDuration(text)
	if err != nil {
		return err
	}
	target.SetInt(int64(d))
	return nil
}

func (n *Notifying) notifying() *Notifying { return n }

// Validate refuses wrong settings; its error names the flag.
func (n *Notifying) Validate() error {
	const day = Days(24 * time.Hour)
	if n.Retention < day || n.Retention > 3650*day {
		return fmt.Errorf("--retention: %s is out of range; give 1d to 3650d, such as 90d", n.Retention)
	}
	if n.SMTPPasswordFile != "" && n.SMTP == "" {
		return errors.New("--smtp-password-file: there is no mail server to use it with; set --smtp, too")
	}
	if n.WebhookAllowPrivate && !n.hasWebhook() {
		return errors.New("--webhook-allow-private: there is no channel webhook; set --webhook or --webhook-secret-file, too; a channel of the file of --channels has allow_private: true instead")
	}
	_, err := n.rates()
	return err
}

const maxRate = 100_000 // notifications a second

// rates returns the rate of each channel that --rate names.
func (n *Notifying) rates() (map[string]float64, error) {
	rates := make(map[string]float64)
	if n.Rate == "" {
		return rates, nil
	}
	for part := range strings.SplitSeq(n.Rate, ",") {
		name, text, found := strings.Cut(strings.TrimSpace(part), "=")
		rate, err := strconv.ParseFloat(text, 64)
		switch {
		case !found || name == "" || err != nil:
			return nil, fmt.Errorf("--rate: %q is not a channel's rate; give CHANNEL=NUMBER, such as email=20", part)
		case !(rate > 0 && rate <= maxRate):
			return nil, fmt.Errorf("--rate: %q is out of range; give more than 0 and at most %d a second, or leave the channel out", part, maxRate)
		case rates[name] > 0:
			return nil, fmt.Errorf("--rate: channel %q stands there twice; remove one", name)
		}
		rates[name] = rate
	}
	return rates, nil
}

// setRates sets the rates of --rate.
func (n *Notifying) setRates(specs []*channelSpec) error {
	rates, err := n.rates()
	if err != nil {
		return err
	}
	var names []string
	for _, spec := range specs {
		names = append(names, spec.name)
		if rate, ok := rates[spec.name]; ok {
			spec.rate = rate
			delete(rates, spec.name)
		}
	}
	if len(rates) > 0 {
		return fmt.Errorf("--rate: no channel is named %s; the channels are %s",
			strings.Join(slices.Sorted(maps.Keys(rates)), ", "), strings.Join(names, ", "))
	}
	return nil
}
