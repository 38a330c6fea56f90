package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/notification"
)

// Channels are the channels that the settings configure.
type Channels struct {
	Alerts *notification.Alerts // nil: none

	opened []openChannel
	log    *slog.Logger
}

type openChannel struct {
	*channelSpec
	channel  ports.Channel
	renderer notification.Renderer // nil: the channel makes its own texts
}

// OpenChannels makes the channels of the flags and of the file, without connecting to
// a receiver. logTo is the channel log. The error has every fault.
func (n *Notifying) OpenChannels(logTo ports.Channel, log *slog.Logger) (*Channels, error) {
	var faults []error
	fault := func(flag string, err error) { faults = append(faults, fmt.Errorf("%s: %w", flag, err)) }
	fileFault := func(err error) { fault("--channels", fmt.Errorf("%q: %w", Redact(n.ChannelsFile), err)) }
	specs := n.flagSpecs(fault)
	file := new(channelsFile)
	if n.ChannelsFile != "" {
		var err error
		if file, err = readChannelsFile(n.ChannelsFile); err != nil {
			fileFault(withoutPath(err))
			return nil, secretFree{errors.Join(faults...)}
		}
		for _, spec := range specs {
			if slices.ContainsFunc(file.specs, func(s *channelSpec) bool { return s.name == spec.name }) {
				spec.fault("name", fmt.Errorf("it adds the channel %s, which the file of --channels has, too; remove one of them", spec.name))
			}
		}
		specs = append(file.specs, specs...)
	}
	// Every broker has the main queue, so the channel log is always there to empty it.
	if !slices.ContainsFunc(specs, func(s *channelSpec) bool { return s.kind == kindLog }) {
		specs = append([]*channelSpec{{name: kindLog, kind: kindLog, schedule: defaultSchedule(kindLog)}}, specs...)
	}
	channels := &Channels{log: log}
	texts := n.openTemplates(specs, fault)
	for _, spec := range specs {
		opened := openChannel{channelSpec: spec, channel: logTo}
		if spec.kind != kindLog {
			addressed := spec.open()
			if addressed == nil {
				continue
			}
			opened.channel = addressed
		}
		if set := texts[spec]; set != nil {
			opened.renderer = set
		}
		channels.opened = append(channels.opened, opened)
	}
	if spec := n.alertSpec(file.alerts, fault); spec != nil {
		channels.Alerts = spec.open(channels.opened, len(channels.opened) == len(specs), log)
	}
	if file.File != nil {
		if err := file.Err(); err != nil {
			fileFault(err)
		}
	}
	if len(faults) == 0 {
		faults = append(faults, n.setRates(specs))
	}
	if err := errors.Join(faults...); err != nil {
		channels.Close()
		return nil, secretFree{err}
	}
	return channels, nil
}

// flagSpecs returns the channels of the flags.
func (n *Notifying) flagSpecs(fault func(flag string, err error)) (specs []*channelSpec) {
	if n.SMTP != "" {
		specs = append(specs, n.mailSpec(fault))
	}
	if n.hasWebhook() {
		specs = append(specs, n.webhookSpec(fault))
	}
	return specs
}

// hasWebhook reports whether the flags have the channel webhook.
func (n *Notifying) hasWebhook() bool {
	return n.Webhook != "" || n.WebhookSecretFile != "" || webhookSecretIsSet()
}

func (n *Notifying) mailSpec(fault func(flag string, err error)) *channelSpec {
	spec := &channelSpec{
		name: "email", kind: kindSMTP, url: n.SMTP, toUsers: true, schedule: defaultSchedule(kindSMTP),
		fault: func(_ string, err error) { fault("--smtp", err) },
	}
	if n.SMTPPasswordFile != "" {
		var err error
		if spec.password, err = readPassword(n.SMTPPasswordFile); err != nil {
			fault("--smtp-password-file", atPath(n.SMTPPasswordFile, n.SMTPPasswordFile, err))
		}
	}
	return spec
}

func (n *Notifying) webhookSpec(fault func(flag string, err error)) *channelSpec {
	spec := &channelSpec{
		name: "webhook", kind: kindWebhook, allowPrivate: n.WebhookAllowPrivate, toUsers: true, schedule: defaultSchedule(kindWebhook),
	}
	secretFlag := "--webhook-secret-file"
	var err error
	switch {
	case n.WebhookSecretFile != "" && webhookSecretIsSet():
		err = fmt.Errorf("the variable %s has a secret, too; remove one of them, or write both into the file", webhookSecret)
	case n.WebhookSecretFile != "":
		spec.secrets, err = readSecret(n.WebhookSecretFile)
		err = atPath(n.WebhookSecretFile, n.WebhookSecretFile, err)
	case webhookSecretIsSet():
		secretFlag = webhookSecret
		spec.secrets, err = lookupSecret(webhookSecret)
	default:
		err = fmt.Errorf("--webhook needs a secret to sign with: name a file that has one, whsec_ and the base64 of 24 to 64 random bytes, "+
			"or set the variable %s", webhookSecret)
	}
	if err != nil {
		fault(secretFlag, err)
	}
	spec.fault = func(setting string, err error) {
		if setting == "secret" || n.Webhook == "" {
			fault(secretFlag, err)
		} else {
			fault("--webhook", err)
		}
	}
	if n.Webhook != "" {
		spec.endpoints = []notification.Endpoint{{Name: "operator", Address: n.Webhook}}
		spec.addressFaults = []func(error){func(err error) { fault("--webhook", fmt.Errorf("the URL %w", err)) }}
	}
	return spec
}

// Close closes the channels' connections. Call it after the last Send.
func (c *Channels) Close() {
	for _, opened := range c.opened {
		if closer, ok := opened.channel.(interface{ Close() error }); ok {
			if err := closer.Close(); err != nil {
				c.log.Warn("the channel did not close cleanly", "channel", opened.name, "error", err)
			}
		}
	}
}

// Infos returns the channels' descriptions for [notification.NewControl].
func (c *Channels) Infos() []notification.ChannelInfo {
	infos := make([]notification.ChannelInfo, len(c.opened))
	for i, opened := range c.opened {
		infos[i] = opened.info()
	}
	return infos
}

func (o openChannel) info() notification.ChannelInfo {
	info := notification.ChannelInfo{Name: o.name, Kind: o.kind, Sender: o.channel, Renderer: o.renderer, Endpoints: o.endpoints}
	info.Addressed, _ = o.channel.(ports.AddressedChannel)
	info.Pinger, _ = o.channel.(ports.Pinger)
	return info
}

// Routes returns the channels' routes, each from its own queue, and logs them.
func (c *Channels) Routes(broker *Broker) []notification.Route {
	routes := make([]notification.Route, len(c.opened))
	for i, opened := range c.opened {
		routes[i] = opened.route(broker)
		attributes := []any{"name", opened.name, "kind", opened.kind, "queue", queueName(opened.name)}
		if to := opened.recipients(); len(to) > 0 {
			attributes = append(attributes, "to", to)
		}
		c.log.Info("channel", attributes...)
	}
	return routes
}

// route returns the channel's route, from its own queue.
func (o openChannel) route(broker *Broker) notification.Route {
	return notification.Route{
		Channel: o.channel, Queue: broker.Queue(o.name), Subscription: deadletters.SubscriptionOf(o.name),
		ToUsers: o.toUsers, Endpoints: o.endpoints, Types: o.types, Renderer: o.renderer,
		Schedule: o.schedule, Rate: o.rate, Concurrency: o.prefetch,
	}
}

// prefetch returns how many events each channel but log takes from its queue at once. It
// sends as many notifications at once.
func (c *Channels) prefetch() map[string]int {
	prefetch := make(map[string]int)
	if c != nil {
		for _, opened := range c.opened {
			if opened.kind != kindLog {
				prefetch[opened.name] = cmp.Or(opened.prefetch, notification.DefaultConcurrency)
			}
		}
	}
	return prefetch
}

// consumers returns the pinger of the channels' queues.
func (c *Channels) consumers(queue func(channel string) ports.EventQueue) ports.Pinger {
	var all consumers
	if c != nil {
		for _, opened := range c.opened {
			all = append(all, queue(opened.name))
		}
	}
	return all
}

type consumers []ports.EventQueue

// Ping returns the first error of the queues' pings. A channel's queue exists only once
// its consumer has connected, so a notifier is not ready before that.
func (c consumers) Ping(ctx context.Context) error {
	for _, queue := range c {
		if err := queue.Ping(ctx); err != nil {
			return err
		}
	}
	return nil
}

// queueName returns the name that the channel's queue has in every broker.
func queueName(channel string) string {
	if name := deadletters.SubscriptionOf(channel); name != "" {
		return mainQueue + "." + name
	}
	return mainQueue
}

const mainQueue = "order_created"

// recipients returns names of the recipients for the log, without secrets and addresses of
// people.
func (o openChannel) recipients() []string {
	var names []string
	if o.toUsers {
		names = append(names, "users")
	}
	addressed, _ := o.channel.(ports.AddressedChannel)
	for _, endpoint := range o.endpoints {
		name := endpoint.Name
		if o.kind == kindWebhook { // each is a receiver of its own, which can be paused by its name
			name += " at " + addressed.Receiver(endpoint.Address)
		}
		names = append(names, name)
	}
	if o.kind == kindSMTP {
		names = append(names, "by "+addressed.Receiver(""))
	}
	return names
}
