// Package porttest is the contract of the ports as tests, for every adapter,
// here or elsewhere: a table of clauses a port, and [Run], which checks an
// adapter against them.
//
//	func TestStore(t *testing.T) {
//		porttest.Run(t, porttest.StoreClauses(), func(t testing.TB) porttest.Store { … })
//	}
//
// There are no options: an adapter keeps the whole contract or fails. The
// clauses run in real time, or in virtual time where the caller runs each in a
// bubble of its own (testing/synctest).
package porttest

import (
	"context"
	"testing"
	"time"

	"example.com/orderflow/domain"
	"example.com/orderflow/ports"
)

// Clause is one sentence of a port's contract. Check fails t if the adapter
// breaks it.
type Clause[A any] struct {
	Name  string
	Check func(t testing.TB, adapter A)
}

// Run checks every clause in a subtest of its name, each on an adapter that
// open makes for it alone: empty, and closed by t.Cleanup.
func Run[A any](t *testing.T, clauses []Clause[A], open func(t testing.TB) A) {
	for _, clause := range clauses {
		t.Run(clause.Name, func(t *testing.T) { clause.Check(t, open(t)) })
	}
}

// Store is what [StoreClauses] asks of an order store.
type Store struct {
	Orders ports.OrderRepository
	Outbox ports.Outbox
	Other  ports.Outbox  // the same outbox as another process has it
	Lease  time.Duration // how long a claim lasts here; about a second, for it is waited out
}

// Broker is what [BrokerClauses] asks of a broker.
type Broker struct {
	Publisher ports.EventPublisher
	Consumer  func() ports.EventConsumer // at each call another consumer of the same queue

	// Inject puts a message with that body, which is no event, into the queue.
	Inject func(ctx context.Context, body []byte) error

	// DeadLetters returns, at each call, what drains and replays the same dead
	// letters: those that the consumers set aside. Their times are compared
	// with this process's clock, and a letter that was not kept has to come
	// again within seconds.
	DeadLetters func() ports.DeadLetterQueue

	// Attempts is how often a failing event is handed over before it is set
	// aside: 3 or more. The delays between are for the suite to wait out: the
	// first of 50 to 200 ms, each longer than the one before by 50 ms or more.
	Attempts int
}

// DeliveryLog is what [DeliveryLogClauses] asks of a delivery log.
type DeliveryLog struct {
	Log   ports.DeliveryLog
	Other ports.DeliveryLog // the same log as another process has it
	Lease time.Duration     // how long a claim lasts here; about a second, for it is waited out
}

// DeadLetters is what [DeadLettersClauses] asks of a store of dead letters.
type DeadLetters struct {
	Letters ports.DeadLetters
	Other   ports.DeadLetters // the same store as another process has it

	// Forgetful is a store, the same or another, that forgets what is settled
	// after Retention: about a second, for it is waited out.
	Forgetful ports.DeadLetters
	Retention time.Duration
}

// Channel is what [ChannelClauses] asks of a notification channel.
type Channel struct {
	Channel ports.Channel

	// Received returns the ids of the events that the receiver has been told of.
	Received func() []domain.EventID
}
