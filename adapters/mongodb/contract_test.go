package mongodb_test

import (
	"testing"
	"time"

	"example.com/orderflow/adapters/mongodb"
	"example.com/orderflow/ports/porttest"
)

const shortLease = time.Second

func TestStoreContract(t *testing.T) {
	t.Parallel() // most of it is waiting for leases
	porttest.Run(t, porttest.StoreClauses(), openStore)
}

func openStore(t testing.TB) porttest.Store {
	one, other := openTwice(t)
	orders, others := one.Orders(), other.Orders()
	orders.Lease, others.Lease = shortLease, shortLease
	return porttest.Store{Orders: orders, Outbox: orders, Other: others, Lease: shortLease}
}

func TestDeliveryLogContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.DeliveryLogClauses(), openDeliveryLog)
}

func openDeliveryLog(t testing.TB) porttest.DeliveryLog {
	one, other := openTwice(t)
	log, others := one.Deliveries(), other.Deliveries()
	log.Lease, others.Lease = shortLease, shortLease
	return porttest.DeliveryLog{Log: log, Other: others, Lease: shortLease}
}

func TestDeadLettersContract(t *testing.T) {
	t.Parallel()
	porttest.Run(t, porttest.DeadLettersClauses(), func(t testing.TB) porttest.DeadLetters {
		one, other := openTwice(t)
		forgetful := openNew(t).DeadLetters()
		forgetful.Retention = shortLease
		return porttest.DeadLetters{
			Letters: one.DeadLetters(), Other: other.DeadLetters(), Forgetful: forgetful, Retention: forgetful.Retention,
		}
	})
}

// openTwice opens one database as two processes would.
func openTwice(t testing.TB) (one, other *mongodb.Store) {
	url := databaseURL(t)
	one = open(t, url, nil)
	dropAtEnd(t, one)
	return one, open(t, url, nil)
}
