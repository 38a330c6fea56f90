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

// open opens a channel of kind smtp or webhook. It reports faults, and returns nil if
// the channel can't be opened.
func (s *channelSpec) open() ports.AddressedChannel {
	var channel ports.AddressedChannel
	switch s.kind {
	case kindSMTP:
		if s.url == "" { // reported already
			return nil
		}
		opened, err := smtpchannel.Open(s.url, smtpchannel.Options{Name: s.name, Password: s.password})
		if err != nil {
			s.fault("url", err)
			return nil
		}
		s.prefetch = min(cmp.Or(s.prefetch, opened.Connections()), opened.Connections()) // more would wait for a connection
		channel = opened
	case kindWebhook:
		if s.secrets == "" { // reported already
			return nil
		}
		options := webhookchannel.Options{Name: s.name, Secrets: strings.Fields(s.secrets), AllowPrivate: s.allowPrivate}
		opened, err := webhookchannel.New(options)
		if err != nil {
			s.fault("secret", err)
			return nil
		}
		channel = opened
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
