package sqlite_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"example.com/orderflow/adapters/sqlite"
	"example.com/orderflow/ports"
	"example.com/orderflow/ports/porttest"
)

const shortLease = time.Second

func TestStoreContract(t *testing.T) {
	t.Parallel() // it mostly waits for leases
	porttest.Run(t, porttest.StoreClauses(), func(t testing.TB) porttest.Store {
		one, other := openTwice(t, sqlite.Options{OutboxLease: shortLease})
		return porttest.Store{Orders: one.Orders(), Outbox: one.Orders(), Other: other.Orders(), Lease: shortLease}
	})
}

func TestDeliveryLogContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.DeliveryLogClauses(), func(t testing.TB) porttest.DeliveryLog {
		const lease = 3 * time.Second // its clauses make many calls within a lease
		one, other := openTwice(t, sqlite.Options{DeliveryLease: lease})
		return porttest.DeliveryLog{Log: one.Deliveries(), Other: other.Deliveries(), Lease: lease}
	})
}

func TestDeadLettersContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.DeadLettersClauses(), func(t testing.TB) porttest.DeadLetters {
		one, other := openTwice(t, sqlite.Options{})
		forgetful := open(t, newURL(t), sqlite.Options{DeadLetterRetention: shortLease})
		return porttest.DeadLetters{
			Letters: one.DeadLetters(), Other: other.DeadLetters(), Forgetful: forgetful.DeadLetters(), Retention: shortLease,
		}
	})
}

func TestOperatorActionsContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.OperatorActionsClauses(), func(t testing.TB) porttest.OperatorActions {
		one, other := openTwice(t, sqlite.Options{})
		forgetful := open(t, newURL(t), sqlite.Options{ActionRetention: shortLease})
		return porttest.OperatorActions{
			Actions: one.OperatorActions(), Other: other.OperatorActions(), Forgetful: forgetful.OperatorActions(), Retention: shortLease,
		}
	})
}

func TestContactsContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.ContactsClauses(), func(t testing.TB) porttest.Contacts {
		one, other := openTwice(t, sqlite.Options{})
		return porttest.Contacts{Contacts: one.Contacts(), Other: other.Contacts()}
	})
}

func TestChannelStatesContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.ChannelStatesClauses(), func(t testing.TB) porttest.ChannelStates {
		one, other := openTwice(t, sqlite.Options{})
		return porttest.ChannelStates{States: one.ChannelStates(), Other: other.ChannelStates()}
	})
}

var delays = []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond}

func TestEventsContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.EventClauses(), func(t testing.TB) porttest.Events { return openQueues(t).Events })
}

func TestDeadLetterQueueContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.DeadLetterQueueClauses(), openQueues)
}

// openQueues hands out consumers and drains of two stores in turns, as two processes
// have them.
func openQueues(t testing.TB) porttest.DeadLetterQueue {
	one, other := openTwice(t, sqlite.Options{Delays: delays, StopTimeout: time.Second})
	var calls atomic.Int32
	store := func() *sqlite.Store {
		if calls.Add(1)%2 == 0 {
			return other
		}
		return one
	}
	return porttest.DeadLetterQueue{
		Events: porttest.Events{
			Publisher:    one.Publisher(),
			Consumer:     func() ports.EventConsumer { return store().Consumer() },
			Subscription: func(name string) ports.EventQueue { return store().Subscription(name) },
			Inject:       one.Inject,
			Attempts:     len(delays) + 1,
		},
		Queue: func() ports.DeadLetterQueue { return store().DeadLetterQueue() },
	}
}

// openTwice opens one new file twice, as two processes do.
func openTwice(t testing.TB, options sqlite.Options) (one, other *sqlite.Store) {
	url := newURL(t)
	one = open(t, url, options)
	return one, open(t, url, options)
}

func newURL(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "orderflow.db") }

func open(t testing.TB, url string, options sqlite.Options) *sqlite.Store {
	t.Helper()
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := sqlite.Open(t.Context(), url, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}
