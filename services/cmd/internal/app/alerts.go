package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// alertSpec describes where alerts go.
type alertSpec struct {
	channel string // its name; empty: the first of the kind
	kind    string // empty: any
	to      string
	window  time.Duration // in which a receiver causes one alert; 0: the default
	fault   func(setting string, err error)
}

// alertSpec returns where the flag or the file sends alerts; nil: nowhere.
func (n *Notifying) alertSpec(file *alertSpec, fault func(flag string, err error)) *alertSpec {
	if n.Alerts == "" {
		return file
	}
	spec := &alertSpec{fault: func(_ string, err error) { fault("--alerts", err) }}
	scheme, rest, _ := strings.Cut(n.Alerts, ":")
	switch {
	case file != nil:
		spec.fault("", errors.New("the file of --channels says where alerts go, too; remove one of them"))
	case scheme == "mailto":
		spec.kind, spec.to = kindSMTP, rest
	case scheme == "https" || scheme == "http":
		spec.kind, spec.to = kindWebhook, n.Alerts
	default:
		spec.fault("", errors.New("it is neither mailto:ADDRESS, such as mailto:ops@example.com, nor an https: URL"))
		return nil
	}
	return spec
}

// open returns the alerts that the spec describes, or reports a fault. The channels are
// all, unless the kind of one is unknown.
func (s *alertSpec) open(channels []openChannel, all bool, log *slog.Logger) *notification.Alerts {
	if s.channel == "" && s.kind == "" { // reported already
		return nil
	}
	for _, opened := range channels {
		if s.channel != "" && opened.name != s.channel || s.kind != "" && opened.kind != s.kind {
			continue
		}
		addressed, ok := opened.channel.(ports.AddressedChannel)
		if !ok {
			s.fault("channel", fmt.Errorf("the channel %s has no addresses; alerts are in the service's log anyway", opened.name))
			return nil
		}
		if s.to == "" && s.kind == "" { // reported already
			return nil
		}
		if err := addressed.CheckAddress(s.to); err != nil {
			s.fault("to", fmt.Errorf("the address %w", err))
			return nil
		}
		alerts, err := notification.NewAlerts(opened.channel, s.to, s.window, log)
		if err != nil {
			s.fault("to", err)
		}
		return alerts
	}
	switch {
	case !all:
	case s.kind == kindSMTP:
		s.fault("channel", errors.New("no mail server is configured; set --smtp, too"))
	case s.kind == kindWebhook:
		s.fault("channel", errors.New("no channel signs webhooks; set --webhook-secret-file, too"))
	default:
		s.fault("channel", errors.New("no channel has this name"))
	}
	return nil
}

// RunAlerts sends alerts until ctx ends.
func (c *Channels) RunAlerts(ctx context.Context) error {
	if c.Alerts == nil {
		<-ctx.Done()
		return nil
	}
	return c.Alerts.Run(ctx)
}
