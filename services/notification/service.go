package notification

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
	"example.com/orderflow/services/internal/retry"
	"example.com/orderflow/services/internal/statelog"
	"example.com/orderflow/services/internal/telemetry"
	"example.com/orderflow/services/internal/wiring"
)

// Parts are the parts of a service that all routes share.
type Parts struct {
	Deliveries  ports.DeliveryLog
	States      ports.ChannelStates
	DeadLetters ports.DeadLetterQueue
	Contacts    ports.Contacts // required if a route goes to users
	Alerts      Alerter        // nil: none

	// Queue returns the queue of the channel with this name. Run uses it to log what the
	// queues of removed channels still hold; nil: it logs nothing of that.
	Queue func(channel string) ports.EventQueue

	Retention time.Duration // how long to keep notifications that do not wait; 0: DefaultRetention
	Log       *slog.Logger  // nil: slog.Default()

	// TracerProvider and MeterProvider are for spans and metrics; nil: OpenTelemetry's
	// global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider

	// StopTimeout is how long notifications that are being tried again may take after
	// Run's context has ended; 0 or less: 5 s. The consumers have their own.
	StopTimeout time.Duration
}

const (
	DefaultRetention = 90 * 24 * time.Hour

	minRetention = time.Hour // a repeated event is recognised within the retention only
)

// One delivery must end before the consumer's timeout of a handler, and that before the
// lease of a claim.
const (
	handlerTimeout = 30 * time.Second // the consumers' default
	turnTimeout    = 5 * time.Second  // waiting for the channel's rate and concurrency
	sendTimeout    = 20 * time.Second
)

// Service notifies users and operators of events. It sends each event by several
// channels, none of which delays another.
type Service struct {
	deliveries  ports.DeliveryLog
	states      ports.ChannelStates
	contacts    ports.Contacts
	deadLetters ports.DeadLetterQueue
	alerts      Alerter
	queue       func(string) ports.EventQueue
	retention   time.Duration
	stopTimeout time.Duration
	log         *slog.Logger
	telemetry   *telemetry.Telemetry

	routes   []*route
	pauses   pauses
	retry    retry.Store
	claimed  statelog.Minutely // events that wait for another notifier's claims
	refused  statelog.Minutely
	dead     statelog.Minutely
	watched  statelog.State // down: the pauses can't be read
	setAside statelog.State // down: the dead-letter queue is unavailable
	ran      atomic.Bool
}

// route is a Route with its state in this process.
type route struct {
	Route
	name      string
	addressed ports.AddressedChannel // nil: the channel has no addresses
	limiter   *rate.Limiter          // nil: no bound
	slots     chan struct{}          // as many as Concurrency
	probes    chan struct{}          // probes at once: receivers that hang leave the other slots
	retries   int                    // notifications that are tried again at once, at most
	drains    drains
	receivers receivers
}

// NewService returns a service that sends each event by each route's channel. It
// returns an error if
//   - a required part is missing, or no route is given
//   - the delivery log's claims last 30 s or less, the time that a handler may take
//   - a channel's name is not 1 to 32 visible ASCII characters, or is another's, too
//   - a route is impossible; the error names what is wrong
func NewService(parts Parts, routes ...Route) (*Service, error) {
	const what = "notification service"
	required := []wiring.Part{
		{Name: "a delivery log", Given: parts.Deliveries},
		{Name: "the channels' states", Given: parts.States},
		{Name: "a dead-letter queue", Given: parts.DeadLetters},
	}
	for _, r := range routes {
		if r.ToUsers {
			required = append(required, wiring.Part{Name: "contacts", Given: parts.Contacts})
			break
		}
	}
	if err := wiring.Check(what, required...); err != nil {
		return nil, err
	}
	if lease := parts.Deliveries.ClaimLease(); lease <= handlerTimeout {
		return nil, fmt.Errorf("%s: the delivery log's claims last %v; they must last longer than the %v that a handler may take, "+
			"or another notifier repeats its notifications", what, lease, handlerTimeout)
	}
	if parts.Retention == 0 {
		parts.Retention = DefaultRetention
	}
	if parts.Retention < minRetention {
		return nil, fmt.Errorf("%s: the retention is %v; it must be at least %v, or repeated events are sent again",
			what, parts.Retention, minRetention)
	}
	if err := checkRoutes(routes); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	log := wiring.Logger(parts.Log)
	s := &Service{
		deliveries: parts.Deliveries, states: parts.States, contacts: parts.Contacts, deadLetters: parts.DeadLetters,
		alerts: parts.Alerts, queue: parts.Queue, retention: parts.Retention, stopTimeout: parts.StopTimeout, log: log,
		retry: retry.Store{Waiting: "notifications", Log: log}, telemetry: telemetry.New(parts.TracerProvider, parts.MeterProvider),
	}
	s.pauses.reading = make(chan struct{}, 1)
	if s.stopTimeout <= 0 {
		s.stopTimeout = 5 * time.Second
	}
	if wiring.IsNil(s.alerts) {
		s.alerts = noAlerts{}
	}
	for _, r := range routes {
		s.routes = append(s.routes, newRoute(r))
	}
	return s, nil
}

func newRoute(given Route) *route {
	r := &route{Route: given, name: given.Channel.Name()}
	r.addressed, _ = given.Channel.(ports.AddressedChannel)
	schedule, concurrency := DefaultSchedule, LocalConcurrency
	if r.addressed != nil {
		schedule, concurrency = PatientSchedule, DefaultConcurrency
	}
	if r.Schedule == (Schedule{}) {
		r.Schedule = schedule
	}
	if r.Concurrency == 0 {
		r.Concurrency = concurrency
	}
	if wiring.IsNil(r.Queue) {
		r.Queue = nil
	}
	if wiring.IsNil(r.Renderer) {
		r.Renderer = nil
	}
	if r.Rate > 0 {
		r.limiter = rate.NewLimiter(rate.Limit(r.Rate), max(1, int(r.Rate/10)))
	}
	r.slots, r.probes = make(chan struct{}, r.Concurrency), make(chan struct{}, max(1, r.Concurrency/8))
	r.retries = max(1, min(dueAtOnce, r.Concurrency/2)) // the rest is for new events
	r.drains = newDrains(r.Route)
	return r
}

type noAlerts struct{}

func (noAlerts) Alert(Alert) {}

// Handler returns the handler of the channel's events, or nil if no route has the
// channel. While Run does not run, the handler knows no pauses, and nobody tries
// notifications again.
func (s *Service) Handler(channel string) ports.Handler {
	for _, r := range s.routes {
		if r.name == channel {
			return func(ctx context.Context, delivery ports.Delivery) error { return s.process(ctx, r, delivery.Event) }
		}
	}
	return nil
}

// Run consumes the events of every route with a queue, retries notifications, drains
// pauses, and deletes what is older than the retention. It returns nil after ctx has
// ended and all deliveries are finished, or the first error of a consumer. A second call
// returns an error.
func (s *Service) Run(ctx context.Context) error {
	if s.deliveries == nil {
		return errors.New("run notification service: it was not made by NewService")
	}
	if s.ran.Swap(true) {
		return errors.New("run notification service: it has run already; make another one with NewService")
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	// calls is for deliveries, which may go on for the stop timeout after ctx has ended.
	calls, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(s.stopTimeout, end) })()

	if !s.readFirstPauses(ctx) { // before the first event, so that no pause is missed
		return nil
	}
	var running sync.WaitGroup
	var failed atomic.Pointer[error]
	for _, r := range s.routes {
		if r.Queue != nil {
			running.Go(func() {
				if err := r.Queue.Consume(ctx, s.Handler(r.name)); err != nil {
					err = fmt.Errorf("channel %s: %w", r.name, err)
					failed.CompareAndSwap(nil, &err)
					stop(err)
				}
			})
		}
		running.Go(func() { s.retryDue(ctx, calls, r) })
	}
	running.Go(func() { s.watchPauses(ctx, calls) })
	running.Go(func() { s.expire(ctx) })
	running.Go(func() { s.checkRemovedChannels(ctx) })
	running.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func now() time.Time { return domain.TruncateTime(time.Now()) }
