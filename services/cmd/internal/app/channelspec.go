package app

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"example.com/orderflow/adapters/smtpchannel"
	"example.com/orderflow/adapters/webhookchannel"
	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/notification"
)

// The kinds of channels.
const (
	kindLog     = "log"
	kindSMTP    = "smtp"
	kindWebhook = "webhook"
)

var kinds = []string{kindLog, kindSMTP, kindWebhook}

const maxPrefetch = 10_000

// channelSpec describes a channel as flags or a file configure it.
type channelSpec struct {
	name, kind   string
	url          string // of kind smtp
	password     string // of kind smtp; empty: that of the URL, or none
	secrets      string // of kind webhook, separated by white space
	allowPrivate bool   // of kind webhook
	toUsers      bool
	endpoints    []notification.Endpoint
	types        []domain.EventType // none: all
	templates    string             // a folder; empty: that of --templates, or the built-in ones
	schedule     notification.Schedule
	rate         float64 // 0: no limit
	prefetch     int     // 0: the default

	// fault reports a fault of the setting with this name in a file. addressFaults
	// report those of the endpoints' addresses.
	fault         func(setting string, err error)
	addressFaults []func(error)
}

var channelName = regexp.MustCompile(`^[a-z0-9_-]{1,32}$`)

const nameRule = "must be 1 to 32 of the characters a-z, 0-9, - and _"

// checkName returns an error unless a channel of the kind may have the name. An empty
// kind is unknown.
func checkName(name, kind string) error {
	switch {
	case !channelName.MatchString(name):
		return errors.New(nameRule)
	case wire.CheckSubscription(name) != nil:
		return errors.New("must not be dead-letter or unreadable, nor begin with retry or delay: other queues of the broker are named so")
	case slices.Contains([]string{"user_id", "language", "off"}, name):
		return errors.New("must not be user_id, language or off: files of contacts have columns that are named so")
	case kind != "" && (name == kindLog) != (kind == kindLog):
		return fmt.Errorf("must be %s for the kind %s, and another for other kinds", kindLog, kindLog)
	}
	return nil
}

func defaultSchedule(kind string) notification.Schedule {
	if kind == kindLog {
		return notification.DefaultSchedule
	}
	return notification.PatientSchedule
}

// hasTexts reports whether the channel's notifications have texts from templates.
func (s *channelSpec) hasTexts() bool { return s.kind == kindSMTP }

// open opens a channel of kind smtp or webhook. It reports faults; if the channel can't be
// opened, it returns another of the kind, which finds the faults of addresses, too. It
// returns nil if the kind is another.
func (s *channelSpec) open() ports.AddressedChannel {
	var channel ports.AddressedChannel
	switch s.kind {
	case kindSMTP:
		channel = s.openSMTP()
	case kindWebhook:
		channel = s.openWebhook()
	default:
		return nil
	}
	for i, endpoint := range s.endpoints {
		if err := channel.CheckAddress(endpoint.Address); err != nil {
			s.addressFaults[i](err)
		}
	}
	return channel
}

func (s *channelSpec) openSMTP() *smtpchannel.Channel {
	url, options := s.url, smtpchannel.Options{Name: s.name, Password: s.password}
	if url == "" { // reported already
		url, options.Password = anyMailServer, ""
	}
	channel, err := smtpchannel.Open(url, options)
	if err != nil {
		s.fault("url", err)
		channel, err = smtpchannel.Open(anyMailServer, smtpchannel.Options{Name: s.name})
	}
	if err != nil {
		panic(err) // anyMailServer is wrong
	}
	s.prefetch = min(cmp.Or(s.prefetch, channel.Connections()), channel.Connections()) // more would wait for a connection
	return channel
}

func (s *channelSpec) openWebhook() *webhookchannel.Channel {
	secrets := cmp.Or(s.secrets, unknownSecret) // a missing one is reported already
	options := webhookchannel.Options{Name: s.name, Secrets: strings.Fields(secrets), AllowPrivate: s.allowPrivate}
	channel, err := webhookchannel.New(options)
	if err != nil {
		s.fault("secret", err)
		options.Secrets = []string{unknownSecret}
		channel, err = webhookchannel.New(options)
	}
	if err != nil {
		panic(err) // unknownSecret is wrong
	}
	return channel
}

// anyMailServer and unknownSecret stand for settings that are missing or wrong, so that a
// channel's other settings are checked nevertheless.
const (
	anyMailServer = "smtp://localhost/?from=shop@localhost"
	unknownSecret = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
)
