package mongodb_test

import (
	"testing"
	"time"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/ports/porttest"
)

const shortLease = time.Second

func TestStoreContract(t *testing.T) {
	t.Parallel() // it mostly waits for leases
	porttest.Run(t, porttest.StoreClauses(), openStore)
}

func openStore(t testing.TB) porttest.Store {
	one, other := openTwice(t, mongodb.Options{OutboxLease: shortLease})
	return porttest.Store{Orders: one.Orders(), Outbox: one.Orders(), Other: other.Orders(), Lease: shortLease}
}

func TestDeliveryLogContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.DeliveryLogClauses(), openDeliveryLog)
}

func openDeliveryLog(t testing.TB) porttest.DeliveryLog {
	const lease = 3 * time.Second // its clauses make many calls within a lease
	one, other := openTwice(t, mongodb.Options{DeliveryLease: lease})
	return porttest.DeliveryLog{Log: one.Deliveries(), Other: other.Deliveries(), Lease: lease}
}

func TestDeadLettersContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.DeadLettersClauses(), func(t testing.TB) porttest.DeadLetters {
		one, other := openTwice(t, mongodb.Options{})
		forgetful := openWith(t, mongodb.Options{DeadLetterRetention: shortLease})
		return porttest.DeadLetters{
			Letters: one.DeadLetters(), Other: other.DeadLetters(), Forgetful: forgetful.DeadLetters(), Retention: shortLease,
		}
	})
}

func TestOperatorActionsContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.OperatorActionsClauses(), func(t testing.TB) porttest.OperatorActions {
		one, other := openTwice(t, mongodb.Options{})
		forgetful := openWith(t, mongodb.Options{ActionRetention: shortLease})
		return porttest.OperatorActions{
			Actions: one.OperatorActions(), Other: other.OperatorActions(), Forgetful: forgetful.OperatorActions(), Retention: shortLease,
		}
	})
}

func TestContactsContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.ContactsClauses(), func(t testing.TB) porttest.Contacts {
		one, other := openTwice(t, mongodb.Options{})
		return porttest.Contacts{Contacts: one.Contacts(), Other: other.Contacts()}
	})
}

func TestChannelStatesContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.ChannelStatesClauses(), func(t testing.TB) porttest.ChannelStates {
		one, other := openTwice(t, mongodb.Options{})
		return porttest.ChannelStates{States: one.ChannelStates(), Other: other.ChannelStates()}
	})
}

// openTwice opens one database twice, as two processes do.
func openTwice(t testing.TB, options mongodb.Options) (one, other *mongodb.Store) {
	url := databaseURL(t)
	one = open(t, url, options)
	return one, open(t, url, options)
}
