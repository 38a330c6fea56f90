package notification

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/mask"
	"example.com/orderflow/services/internal/statelog"
	"example.com/orderflow/services/internal/wiring"
)

// DefaultAlertWindow is the time in which a receiver causes at most one alert of a kind.
const DefaultAlertWindow = 15 * time.Minute

const (
	maxAlertTopics    = 100 // kinds and receivers with windows of their own; a channel's others share one
	maxWaitingAlerts  = 128
	maxAlertAge       = 24 * time.Hour // how long an alert waits for its receiver
	maxAlertRefusals  = 5
	firstAlertPause   = 2 * time.Second
	longestAlertPause = 5 * time.Minute
	maxAlertSubject   = 200
	alertTimeout      = 20 * time.Second // of one attempt
	alertGrace        = 3 * time.Second  // for the alerts that wait when the service stops
)

// Alerts sends alerts to an operator, at most one for each kind and receiver in a
// window. The next one says how many were left out. After a window that has left alerts
// out, the latest of them is sent.
//
// Each process has its own windows. Of several notifiers only one alerts about a pause,
// but each alerts about what it has given up itself. An alert is lost if the process dies
// before it is sent: the log and the lists of notifications say the same.
type Alerts struct {
	channel ports.Channel
	address string
	window  time.Duration
	log     *slog.Logger
	state   statelog.State
	ran     atomic.Bool
	queue   chan ports.Outgoing

	mu     sync.Mutex
	topics map[alertTopic]*alertWindow
}

var _ Alerter = (*Alerts)(nil)

type alertTopic struct {
	kind              AlertKind
	channel, receiver string
}

// alertWindow is the time after an alert in which others are left out.
type alertWindow struct {
	began   time.Time
	leftOut int
	latest  timedAlert // of those that were left out
}

type timedAlert struct {
	Alert
	at time.Time
}

// NewAlerts returns alerts that the channel sends to the address. The channel may serve
// users, too. A window of 0 is DefaultAlertWindow, and a nil log is slog.Default(). An
// error is returned when the channel is nil or can't send to the address, or when the
// window is negative.
func NewAlerts(channel ports.Channel, address string, window time.Duration, log *slog.Logger) (*Alerts, error) {
	const what = "alerts"
	if err := wiring.Check(what, wiring.Part{Name: "a channel", Given: channel}); err != nil {
		return nil, err
	}
	if addressed, ok := channel.(ports.AddressedChannel); ok {
		if err := addressed.CheckAddress(address); err != nil {
			return nil, fmt.Errorf("%s: the address for the channel %s %w", what, channel.Name(), err)
		}
	}
	if window < 0 {
		return nil, fmt.Errorf("%s: the window is %v; it must not be negative", what, window)
	}
	return &Alerts{
		channel: channel, address: address, window: cmp.Or(window, DefaultAlertWindow), log: wiring.Logger(log),
		queue: make(chan ports.Outgoing, maxWaitingAlerts), topics: make(map[alertTopic]*alertWindow),
	}, nil
}

// Alert queues the alert for Run, unless its window leaves it out or too many alerts are
// queued. It never waits.
func (a *Alerts) Alert(alert Alert) {
	a.mu.Lock()
	defer a.mu.Unlock()
	topic := alertTopic{alert.Kind, alert.Channel, alert.Receiver}
	if a.topics[topic] == nil && len(a.topics) >= maxAlertTopics {
		topic.receiver = ""
	}
	w := a.topics[topic]
	if w == nil {
		w = new(alertWindow)
		a.topics[topic] = w
	}
	timed := timedAlert{alert, now()}
	if !w.began.IsZero() && timed.at.Sub(w.began) < a.window {
		w.leftOut++
		w.latest = timed
		return
	}
	a.startWindow(w, timed)
}

// startWindow queues the alert, and starts a window in which others are left out.
func (a *Alerts) startWindow(w *alertWindow, alert timedAlert) {
	message := ports.Outgoing{
		ID:      "alert-" + uuid.NewString(),
		Event:   domain.Event{Time: alert.at}, // no order's
		Address: a.address,
		Content: alert.content(w.leftOut, w.began),
	}
	w.began = now()
	select {
	case a.queue <- message:
		w.leftOut = 0
	default:
		w.leftOut++
		w.latest = alert
		a.log.Error("alert left out, because too many wait to be sent",
			"kind", alert.Kind, "channel", alert.Channel, "receiver", alert.Receiver)
	}
}

// endWindows ends the windows that are over. If one has left alerts out, it sends the
// latest of them, which starts the next window.
func (a *Alerts) endWindows() {
	a.mu.Lock()
	defer a.mu.Unlock()
	var again []*alertWindow
	for topic, w := range a.topics {
		switch {
		case time.Since(w.began) < a.window:
		case w.leftOut == 0:
			delete(a.topics, topic)
		default:
			again = append(again, w)
		}
	}
	slices.SortFunc(again, func(v, w *alertWindow) int { return v.latest.at.Compare(w.latest.at) })
	for _, w := range again {
		w.leftOut-- // the latest is not left out any more
		a.startWindow(w, w.latest)
	}
}

// Run sends the alerts until ctx ends. Then it tries each queued one once, within 3 s, and
// returns nil. A second call returns an error.
func (a *Alerts) Run(ctx context.Context) error {
	if a.ran.Swap(true) {
		return errors.New("run alerts: they have run already; make others with NewAlerts")
	}
	calls, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(alertGrace, end) })()

	var windows sync.WaitGroup
	defer windows.Wait()
	windows.Go(func() {
		ticks := time.NewTicker(max(a.window/16, time.Millisecond))
		defer ticks.Stop()
		for ctx.Err() == nil {
			select {
			case <-ticks.C:
				a.endWindows()
			case <-ctx.Done():
			}
		}
	})
	for {
		select {
		case message := <-a.queue:
			a.send(ctx, calls, message)
			continue
		default:
		}
		select {
		case message := <-a.queue:
			a.send(ctx, calls, message)
		case <-ctx.Done():
			return nil
		}
	}
}

// send sends the alert. It tries again until the alert is refused for good or too old, or
// ctx ends.
func (a *Alerts) send(ctx, calls context.Context, message ports.Outgoing) {
	refusals, pause := 0, firstAlertPause
	for message.Attempt = 1; ; message.Attempt++ {
		err := a.sendOnce(calls, message)
		if err == nil {
			a.state.Up(ctx, a.log, "alerts are sent again")
			return
		}
		if !ports.IsPostponed(err) {
			refusals++
		}
		over := time.Since(message.Event.Time) >= maxAlertAge
		if ports.IsPermanent(err) || refusals >= maxAlertRefusals || over || ctx.Err() != nil {
			a.log.ErrorContext(ctx, "alert not sent", "channel", a.channel.Name(), "subject", message.Content.Subject,
				"attempts", message.Attempt, "error", mask.Text(text(err)))
			return
		}
		a.state.Down(ctx, a.log, "alerts can't be sent; they are tried again", mask.Error(err), "channel", a.channel.Name())
		asked, _ := ports.RetryDelay(err)
		sleep(ctx, max(pause, min(asked, longestAlertPause)))
		pause = min(2*pause, longestAlertPause)
	}
}

// sendOnce sends the alert once. A panic of the channel is a permanent error.
func (a *Alerts) sendOnce(ctx context.Context, message ports.Outgoing) (err error) {
	ctx, cancel := context.WithTimeout(ctx, alertTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = ports.Permanent(fmt.Errorf("panicked: %v", p))
		}
	}()
	_, err = a.channel.Send(ctx, message)
	return err
}

// alertWords say what has happened, in a subject and in a sentence.
var alertWords = map[AlertKind]struct{ subject, sentence string }{
	GivenUp: {"notification given up", "A notification was given up. Its event is a dead letter."},
	Paused:  {"receiver paused", "A receiver fails, or wants no notifications any more. Notifications to it wait, or are skipped."},
	Back:    {"receiver back", "A receiver works again. The notifications that waited for it are sent."},
	Stuck:   {"receiver still paused", "A channel or receiver has been paused for a long time. Its notifications wait."},
}

// content returns the alert's text. leftOut alerts like it were left out since the
// time.
func (a timedAlert) content(leftOut int, since time.Time) ports.Content {
	words := alertWords[a.Kind]
	subject := "orderflow: " + cmp.Or(words.subject, string(a.Kind)) + ": " + a.Channel
	if a.Receiver != "" {
		subject += ", " + a.Receiver
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", cmp.Or(words.sentence, string(a.Kind)))
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, oneLine(value, domain.MaxAnswer))
		}
	}
	line("time", timeText(a.at))
	line("channel", a.Channel)
	line("receiver", a.Receiver)
	line("since", timeText(a.Since))
	if a.Notifications > 1 {
		line("notifications", strconv.Itoa(a.Notifications))
	}
	line("event", string(a.EventID))
	line("order", string(a.OrderID))
	line("recipient", a.Recipient)
	if a.Attempts > 0 {
		line("attempts", strconv.Itoa(a.Attempts))
	}
	line(a.Kind.answerName(), mask.Text(a.Answer))
	if leftOut > 0 {
		fmt.Fprintf(&b, "\n%d more alerts like this one were left out since %s.\n", leftOut, timeText(since))
	}
	b.WriteString("\nGET /undelivered on the admin address lists what has not reached whom, and why.\n")
	return ports.Content{Language: "en", Subject: oneLine(subject, maxAlertSubject), Text: b.String()}
}

// answerName returns what an alert of the kind calls its answer.
func (k AlertKind) answerName() string {
	if k == Back || k == Stuck {
		return "reason of the pause"
	}
	return "last answer"
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func oneLine(text string, limit int) string {
	return cut(strings.Join(strings.Fields(text), " "), limit)
}
