package telemetry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Metric describes one metric. Prometheus adds _total to the names of counters and the
// unit to others.
type Metric struct {
	Name   string // in OpenTelemetry, with dots
	Prom   string // as Prometheus shows it
	Unit   string
	Labels []string
	Help   string
}

// The metrics of the services, in the order of their documentation.
var (
	requests        = Metric{"orderflow.http.requests", "orderflow_http_requests_total", "{request}", []string{"method", "route", "status"}, "Requests that were answered; status is 2xx to 5xx."}
	requestDuration = Metric{"orderflow.http.request.duration", "orderflow_http_request_duration_seconds", "s", []string{"method", "route", "status"}, "Time from the request's header to the end of the answer."}
	requestsNow     = Metric{"orderflow.http.requests.in_flight", "orderflow_http_requests_in_flight", "{request}", nil, "Requests under way."}
	ordersPlaced    = Metric{"orderflow.orders.placed", "orderflow_orders_placed_total", "{order}", nil, "Orders that were stored; repeats by an idempotency key are not counted."}
	published       = Metric{"orderflow.events.published", "orderflow_events_published_total", "{event}", []string{"result"}, "Events given to the broker: result is confirmed, refused or unknown (no answer; published again)."}
	publishDuration = Metric{"orderflow.publish.duration", "orderflow_publish_duration_seconds", "s", nil, "Time from sending a batch to the broker's last confirmation."}
	publishDelay    = Metric{"orderflow.order_to_publish", "orderflow_order_to_publish_seconds", "s", nil, "Time from the order to the confirmation of its event."}
	publishBatch    = Metric{"orderflow.publish.batch", "orderflow_publish_batch_events", "events", nil, "Events in one call to the broker."}
	markBatch       = Metric{"orderflow.mark.batch", "orderflow_mark_batch_events", "events", nil, "Events marked as published in one call to the store."}
	handled         = Metric{"orderflow.events.handled", "orderflow_events_handled_total", "{event}", []string{"channel", "result"}, "Events that a channel took from its queue: result is done, dead or again."}
	notifications   = Metric{"orderflow.notifications", "orderflow_notifications_total", "{notification}", []string{"channel", "state"}, "Records of notifications: sent, skipped, retrying, held or dead. One that is tried three times is recorded three times."}
	attempts        = Metric{"orderflow.attempt.duration", "orderflow_attempt_duration_seconds", "s", []string{"channel", "outcome"}, "Time that a receiver took for one attempt; outcome is accepted, refused, rejected or unreachable."}
	sendingNow      = Metric{"orderflow.attempts.in_flight", "orderflow_attempts_in_flight", "{attempt}", []string{"channel"}, "Notifications that are being sent."}
	notifyDelay     = Metric{"orderflow.order_to_notification", "orderflow_order_to_notification_seconds", "s", []string{"channel"}, "Time from the order to the receiver's acceptance of its notification."}
	backlog         = Metric{"orderflow.backlog", "orderflow_backlog", "{event}", []string{"channel", "place"}, "What waits: place is outbox, queue, retrying, held, dead, dead_letters or dead_letter_queue; channel is empty for the first and the last."}
	backlogAge      = Metric{"orderflow.backlog.oldest", "orderflow_backlog_oldest_seconds", "s", []string{"channel", "place"}, "Age of the oldest that waits there; 0 if nothing waits. No value if the broker does not tell: RabbitMQ, for a queue of events."}
	stalls          = Metric{"orderflow.stalls", "orderflow_stalls_total", "{stall}", []string{"place"}, "Times that work waited for a minute and nothing moved: in the outbox, or in the queue of a channel."}
	stalled         = Metric{"orderflow.stalled", "orderflow_stalled", "", []string{"place"}, "1 while work waits there and nothing has moved for a minute, otherwise 0."}
	consumers       = Metric{"orderflow.consumers", "orderflow_consumers", "", []string{"channel"}, "Consumers of the channel's queue, of all processes."}
	pauses          = Metric{"orderflow.pauses", "orderflow_pauses", "", []string{"channel", "kind"}, "Pauses of a channel or of its receivers; kind is paused (by a person), broken (by the breaker) or off."}
	refused         = Metric{"orderflow.admin.refused", "orderflow_admin_refused_total", "{request}", []string{"reason"}, "Requests to the admin address that were refused: reason is no_token, wrong_token, slowed_down (too many wrong tokens from that address) or role (a viewer may not do it)."}
	connectionUp    = Metric{"orderflow.up", "orderflow_up", "", []string{"server"}, "1 if the store or broker answers, otherwise 0."}
	buildInfo       = Metric{"orderflow.build.info", "orderflow_build_info", "", []string{"go_version", "service", "version"}, "Always 1."}
)

// Metrics lists all metrics. The README's table has the same rows.
var Metrics = []Metric{
	requests, requestDuration, requestsNow, ordersPlaced, published, publishDuration, publishDelay, publishBatch, markBatch,
	handled, notifications, attempts, sendingNow, notifyDelay, backlog, backlogAge, stalls, stalled, consumers, pauses, refused, connectionUp, buildInfo,
}

var (
	callSeconds = metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30)
	waitSeconds = metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
	batchSizes  = metric.WithExplicitBucketBoundaries(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
)

// Placed counts an order.
func (t *Telemetry) Placed(ctx context.Context) { t.placed.add(ctx, 1, labels{}) }

// Stalled counts how often work waited at the place and nothing moved; 0 makes the counter
// begin.
func (t *Telemetry) Stalled(ctx context.Context, place string, times int) {
	t.stalls.add(ctx, times, labels{place})
}

// Refused counts requests to the admin address that were refused; 0 makes the counter begin.
func (t *Telemetry) Refused(ctx context.Context, reason string, times int) {
	t.refused.add(ctx, times, labels{reason})
}

// Published records a call to the broker and its answers.
func (t *Telemetry) Published(ctx context.Context, took time.Duration, confirmed, refused, unknown int) {
	t.publishTook.record(ctx, took.Seconds(), labels{})
	t.publishSize.record(ctx, float64(confirmed+refused+unknown), labels{})
	for _, r := range [...]struct {
		result string
		n      int
	}{{"confirmed", confirmed}, {"refused", refused}, {"unknown", unknown}} {
		if r.n > 0 {
			t.published.add(ctx, r.n, labels{r.result})
		}
	}
}

// Confirmed records how long an order's event took to the broker.
func (t *Telemetry) Confirmed(ctx context.Context, delay time.Duration) {
	t.publishDelay.record(ctx, max(delay, 0).Seconds(), labels{})
}

// Marked records a call that marked events.
func (t *Telemetry) Marked(ctx context.Context, events int) {
	t.markSize.record(ctx, float64(events), labels{})
}

// Handled counts an event that a channel has taken from its queue.
func (t *Telemetry) Handled(ctx context.Context, channel, result string) {
	t.handled.add(ctx, 1, labels{channel, result})
}

// Recorded counts a record of a notification.
func (t *Telemetry) Recorded(ctx context.Context, channel, state string) {
	t.recorded.add(ctx, 1, labels{channel, state})
}

// Sending counts an attempt that is under way, until Sent.
func (t *Telemetry) Sending(channel string) {
	t.sending.add(1, labels{channel})
}

// Sent records what an attempt came to.
func (t *Telemetry) Sent(ctx context.Context, channel, outcome string, took time.Duration) {
	t.sending.add(-1, labels{channel})
	if outcome != "" {
		t.attempted.record(ctx, took.Seconds(), labels{channel, outcome})
	}
}

// Notified records how long an order's notification took.
func (t *Telemetry) Notified(ctx context.Context, channel string, delay time.Duration) {
	t.notifyDelay.record(ctx, max(delay, 0).Seconds(), labels{channel})
}

// Requesting counts a request that is under way, until Requested.
func (t *Telemetry) Requesting() { t.inFlight.add(1, labels{}) }

// Requested records a request that was answered.
func (t *Telemetry) Requested(ctx context.Context, method, route string, status int, took time.Duration) {
	t.inFlight.add(-1, labels{})
	at := labels{method, route, classes[status/100%len(classes)]}
	t.requests.add(ctx, 1, at)
	t.requestTook.record(ctx, took.Seconds(), at)
}

// classes are the classes of HTTP statuses, by their first digit.
var classes = [...]string{"0xx", "1xx", "2xx", "3xx", "4xx", "5xx", "6xx", "7xx", "8xx", "9xx"}

// Table returns the metrics as a table of Markdown.
func Table() string {
	var table strings.Builder
	table.WriteString("| metric | labels | meaning |\n| --- | --- | --- |\n")
	for _, m := range Metrics {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", m.Prom, strings.Join(m.Labels, ", "), m.Help)
	}
	return table.String()
}
