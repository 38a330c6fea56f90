package console

import (
	"math"
	"slices"
	"strings"
	"time"

	"example.com/orderflow/services/account"
	"example.com/orderflow/services/internal/httpapi"
)

// RatesView is how much happens a second, over the latest 5 s; null: not known.
type RatesView struct {
	Orders   *float64       `json:"orders"`
	Notified *float64       `json:"notified"` // by all channels together
	Channels []ChannelRates `json:"channels"`
}

// ChannelRates is how much a channel sends a second.
type ChannelRates struct {
	Channel string   `json:"channel"`
	Sent    *float64 `json:"sent"`
}

// PointView is a point of the history.
type PointView struct {
	At       string   `json:"at"`
	Orders   *float64 `json:"orders"` // a second, as Notified
	Notified *float64 `json:"notified"`
	Waiting  *int     `json:"waiting"` // in the outbox, in the queues, retried and held
	Dead     *int     `json:"dead"`    // dead letters that wait for a person
}

// rates makes rates of counters that only grow.
type rates struct {
	orders, notified series
	channels         []channelSeries // by name
}

type channelSeries struct {
	name string
	series
}

// series is a counter's values during the latest 5 s, and the one before.
type series []count

type count struct {
	at time.Time
	n  int
}

// note adds a value. A counter that has fallen, or is not known, begins anew.
func (s *series) note(at time.Time, n int, known bool) {
	if !known || len(*s) > 0 && n < (*s)[len(*s)-1].n {
		*s = nil
	}
	if !known {
		return
	}
	*s = append(*s, count{at, n})
	for len(*s) > 2 && at.Sub((*s)[1].at) >= pointPause {
		*s = (*s)[1:]
	}
}

// rate returns how much is counted a second; nil: not known yet.
func (s series) rate() *float64 {
	if len(s) < 2 {
		return nil
	}
	first, last := s[0], s[len(s)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return nil
	}
	rate := math.Round(10*float64(last.n-first.n)/seconds) / 10
	return &rate
}

// note adds the account's counters.
func (r *rates) note(a account.Account) {
	orders := 0
	if a.Orders != nil {
		orders = a.Orders.Orders
	}
	r.orders.note(a.At, orders, a.Orders != nil)
	known := knowsDeliveries(a)
	sent, all := make(map[string]int), 0
	for _, recipient := range a.Recipients {
		sent[recipient.Channel] += recipient.Sent
		all += recipient.Sent
	}
	r.notified.note(a.At, all, known)
	for name := range sent {
		i, found := slices.BinarySearchFunc(r.channels, name, func(c channelSeries, name string) int { return strings.Compare(c.name, name) })
		if !found {
			r.channels = slices.Insert(r.channels, i, channelSeries{name: name})
		}
	}
	for i := range r.channels {
		r.channels[i].note(a.At, sent[r.channels[i].name], known)
	}
}

func (r *rates) view() RatesView {
	view := RatesView{Orders: r.orders.rate(), Notified: r.notified.rate(), Channels: make([]ChannelRates, len(r.channels))}
	for i, channel := range r.channels {
		view.Channels[i] = ChannelRates{channel.name, channel.rate()}
	}
	return view
}

// knowsDeliveries reports whether the account has the notifications.
func knowsDeliveries(a account.Account) bool {
	return !slices.ContainsFunc(a.Faults, func(f account.Fault) bool { return f.Part == "deliveries" || f.Part == "openings" })
}

func newPoint(a account.Account, rates RatesView) PointView {
	p := PointView{At: httpapi.FormatTime(a.At), Orders: rates.Orders, Notified: rates.Notified}
	if knowsDeliveries(a) {
		waiting := 0
		if a.Orders != nil {
			waiting += a.Orders.Waiting.N
		}
		for _, q := range a.Queues {
			waiting += q.Total()
		}
		for _, r := range a.Recipients {
			waiting += r.Retrying.N + r.Held.N
		}
		p.Waiting = &waiting
	}
	if !slices.ContainsFunc(a.Faults, func(f account.Fault) bool { return f.Part == "dead letters" }) {
		dead := 0
		for _, l := range a.DeadLetters {
			dead += l.Waiting.N
		}
		p.Dead = &dead
	}
	return p
}
