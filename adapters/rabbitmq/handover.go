package rabbitmq

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"example.com/orderflow/adapters/wire"
	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Headers that a failed message carries on. Times are in [wire.TimeFormat], in
// earlier versions without milliseconds.
const (
	headerAttempts     = "orderflow-attempts"      // how many have failed
	headerFirstFailure = "orderflow-first-failure" // when
	headerLastFailure  = "orderflow-last-failure"  // when
	headerReason       = "orderflow-reason"        // why the last one has failed

	headerPrefix = "orderflow-" // of all of them
)

const (
	maxReason   = 1 << 10   // bytes
	maxAttempts = 1_000_000 // more than there can be
)

// The bounds of handing a message over.
const (
	handOverTimeout = 3 * time.Second // of one try; a consumer that is to stop has not much longer
	handOverPause   = time.Second     // before the next
)

// handOver puts in the place of a delivery that failed what afterFailure makes
// of it. The event's id is empty if the delivery is no event.
func (w *work) handOver(ctx context.Context, s *session, d amqp.Delivery, event domain.EventID, failure error) bool {
	sent, ok := w.out.replace(ctx, s, w.out.topology.afterFailure(d, failure, time.Now()))
	if ok {
		w.logFailure(ctx, event, sent, failure)
	}
	return ok
}

// replace gives the broker the message that takes the place of a delivery, and
// returns it as it was sent, and true, once it has promised to keep it. As long as it does not, the
// delivery stays in hand: to give it back would have it come again at once, and
// fail again, and count towards the queue's limit. So a broker that takes no
// messages stops the consumer when all it has in hand has failed.
//
// It returns false if the session is over, which gives the delivery back, or
// ctx is, and one more try has failed.
func (l *link) replace(ctx context.Context, s *session, m message) (sent message, ok bool) {
	messages := []message{m} // that publish fits to a frame
	for {
		try, cancel := context.WithTimeout(context.WithoutCancel(ctx), handOverTimeout)
		err := l.publish(try, messages...)[0]
		cancel()
		if err == nil {
			return messages[0], true
		}
		select {
		case <-time.After(handOverPause):
		case <-s.life.Done():
			return m, false
		case <-ctx.Done():
			return m, false
		}
	}
}

// logFailure names a dead letter by the id that the store lists it under, and
// what comes again, which is an event, by the event's.
func (w *work) logFailure(ctx context.Context, event domain.EventID, m message, failure error) {
	t, log := w.out.topology, w.in.link.log.logger
	attempts := failedAttempts(m.delivery())
	reason := bounded(failure.Error())
	switch {
	case m.exchange != amqp.DefaultExchange:
		log.WarnContext(ctx, "message is set aside as a dead letter", "id", letterID(m.delivery()), "attempts", attempts, "reason", reason)
	case ports.IsPostponed(failure): // the handler says what keeps it from its work
		log.DebugContext(ctx, "event is postponed", "event_id", event, "attempts", attempts, "again_in", t.Delays[0].String(), "reason", reason)
	default:
		log.WarnContext(ctx, "attempt failed; the event comes again", "event_id", event, "attempts", attempts, "again_in", t.Delays[attempts-1].String(), "reason", reason)
	}
}

// failedAttempts returns how many attempts the message has behind it.
func failedAttempts(d amqp.Delivery) int {
	text, _ := d.Headers[headerAttempts].(string)
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxAttempts {
		return 0 // somebody else's header
	}
	return n
}

// writtenFailure returns what the headers say of the message's failures, zero
// where they say nothing.
func writtenFailure(d amqp.Delivery) ports.Failure {
	at := func(header string) time.Time {
		text, _ := d.Headers[header].(string)
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || !domain.IsWritable(at) {
			return time.Time{}
		}
		return at.UTC().Truncate(time.Millisecond)
	}
	reason, _ := d.Headers[headerReason].(string)
	return ports.Failure{
		Reason: reason, Attempts: failedAttempts(d), FirstFailure: at(headerFirstFailure), LastFailure: at(headerLastFailure),
	}
}

func writeFailure(headers amqp.Table, failure ports.Failure) {
	headers[headerAttempts] = strconv.Itoa(failure.Attempts)
	headers[headerReason] = bounded(failure.Reason)
	headers[headerFirstFailure] = failure.FirstFailure.UTC().Format(wire.TimeFormat)
	headers[headerLastFailure] = failure.LastFailure.UTC().Format(wire.TimeFormat)
}

// afterFailure returns the message that takes the place of one that could not
// be dealt with: it waits for its next attempt, or is a dead letter.
func (t Topology) afterFailure(d amqp.Delivery, reason error, now time.Time) message {
	headers := ownHeaders(d.Headers)
	failure := writtenFailure(d)
	if !ports.IsPostponed(reason) {
		failure.Reason = reason.Error()
		failure.Attempts++
		failure.FirstFailure = cmp.Or(failure.FirstFailure, now)
		failure.LastFailure = now
		writeFailure(headers, failure)
	}

	m := message{
		exchange: t.deadLetters(),
		Publishing: amqp.Publishing{
			Headers:      headers,
			DeliveryMode: amqp.Persistent,
			MessageId:    cmp.Or(d.MessageId, wire.NewID()), // we tell our messages apart by it
			// What the sender said of the message. Left out are its expiration,
			// at which it would vanish; its user, whom only that user may name;
			// and its priority, for it is not to overtake others.
			ContentType:     d.ContentType,
			ContentEncoding: d.ContentEncoding,
			Timestamp:       d.Timestamp,
			Type:            d.Type,
			AppId:           d.AppId,
			CorrelationId:   d.CorrelationId,
			ReplyTo:         d.ReplyTo,
			Body:            d.Body,
		},
	}
	switch {
	case ports.IsPostponed(reason):
		m.exchange, m.key = amqp.DefaultExchange, t.retryQueue(t.Delays[0])
	case failure.Attempts <= len(t.Delays) && !ports.IsPermanent(reason):
		m.exchange, m.key = amqp.DefaultExchange, t.retryQueue(t.Delays[failure.Attempts-1])
	}
	return m
}

// bounded returns the text as valid UTF-8 of at most maxReason bytes.
func bounded(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= maxReason {
		return text
	}
	const more = "…"
	return strings.ToValidUTF8(text[:maxReason-len(more)], "") + more
}
