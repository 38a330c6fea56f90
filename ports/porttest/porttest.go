// Package porttest holds the contracts of the ports as tests, for any adapter,
// in this module or another. Each port has a list of clauses; [Run] checks an
// adapter against them:
//
//	func TestStore(t *testing.T) {
//		porttest.Run(t, porttest.StoreClauses(), func(t testing.TB) porttest.Store {
//			one, other := openTwice(t) // one empty database, opened as two processes would
//			return porttest.Store{Orders: one.Orders(), Outbox: one.Outbox(), Other: other.Outbox(), Lease: time.Second}
//		})
//	}
//
// A broker passes [EventClauses]. If it also hands out dead letters, it passes
// [DeadLetterQueueClauses] as well. The other suites are [DeliveryLogClauses],
// [ContactsClauses], [ChannelStatesClauses], [DeadLettersClauses],
// [OperatorActionsClauses] and [ChannelClauses].
//
// An adapter keeps the whole contract or fails; no option leaves out a clause. A
// failure says what the adapter had to do, and names the order, event or dead letter.
//
// Clauses run in real time. An adapter without I/O can run each clause in
// virtual time (testing/synctest), as the example of [Clause] shows.
package porttest

import (
	"context"
	"slices"
	"sync"
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

// sideBySide is how many clauses [Run] checks at once. It may exceed the number of
// processors, because clauses mostly wait for leases and delays.
const sideBySide = 8

// Run checks each clause in a subtest of its name, several at once. For each
// clause it calls open, which returns an empty adapter that no other clause
// uses, and closes it with t.Cleanup.
func Run[A any](t *testing.T, clauses []Clause[A], open func(t testing.TB) A) {
	next := make(chan Clause[A])
	var runners sync.WaitGroup
	for range min(sideBySide, len(clauses)) {
		runners.Go(func() {
			for clause := range next {
				t.Run(clause.Name, func(t *testing.T) { clause.Check(t, open(t)) })
			}
		})
	}
	for _, clause := range clauses {
		next <- clause
	}
	close(next)
	runners.Wait()
}

// Store is what [StoreClauses] needs of an order store.
type Store struct {
	Orders ports.OrderRepository
	Outbox ports.Outbox
	Other  ports.Outbox  // the same outbox, opened by another process
	Lease  time.Duration // how long a claim lasts: about a second, because clauses wait for its end
}

// StoreClauses returns the contract of [ports.OrderRepository] and
// [ports.Outbox].
func StoreClauses() []Clause[Store] {
	return slices.Concat(ordersAdd, ordersList, outboxClaim, outboxMark, outboxRelease, outboxAccount)
}

// Events is what [EventClauses] needs of a broker.
type Events struct {
	Publisher ports.EventPublisher
	Consumer  func() ports.EventConsumer // returns another consumer of the main queue at each call

	// Subscription returns another consumer of the subscription's queue at each call.
	// The queue does not exist before a clause consumes from it.
	Subscription func(name string) ports.EventQueue

	// Inject puts a message with this body, which is not an event, into the queue
	// of Consumer.
	Inject func(ctx context.Context, body []byte) error

	// Attempts is how often the broker delivers a failing event before it sets the
	// event aside: 3 or more. Clauses wait for the delays between the attempts. The
	// first delay is 50 to 200 ms, each other at least 50 ms longer than the one
	// before.
	Attempts int
}

// EventClauses returns the contract of [ports.EventPublisher], [ports.EventConsumer]
// and [ports.EventQueue].
func EventClauses() []Clause[Events] {
	return slices.Concat(eventsPublish, eventsConsume, eventsFail, eventsStop, eventsSubscribe, eventsDepth)
}

// DeadLetterQueue is what [DeadLetterQueueClauses] needs of a broker: its
// events, and the dead letters that their consumers set aside.
type DeadLetterQueue struct {
	Events

	// Queue returns another drain of the same dead letters at each call. Clauses
	// compare the letters' times with this process's clock. A letter that was not
	// kept has to come again within seconds.
	Queue func() ports.DeadLetterQueue
}

// DeadLetterQueueClauses returns the contract of [ports.DeadLetterQueue].
func DeadLetterQueueClauses() []Clause[DeadLetterQueue] {
	return slices.Concat(queueSetAside, queueDrain, queueStop, queueReplay, queueSubscribe, queueSetAsideCall, queueDepth)
}

// DeliveryLog is what [DeliveryLogClauses] needs of a delivery log. Clauses compare
// its times with this process's clock.
type DeliveryLog struct {
	Log   ports.DeliveryLog
	Other ports.DeliveryLog // the same log, opened by another process
	Lease time.Duration     // how long a claim lasts: about a second, because clauses wait for its end
}

// DeliveryLogClauses returns the contract of [ports.DeliveryLog].
func DeliveryLogClauses() []Clause[DeliveryLog] {
	return slices.Concat(deliveryLogClaim, deliveryLogRecord, deliveryLogRelease, deliveryLogDue, deliveryLogHeld,
		deliveryLogList, deliveryLogForget, deliveryLogExpire, deliveryLogAccount)
}

// DeadLetters is what [DeadLettersClauses] needs of a store of dead letters.
type DeadLetters struct {
	Letters ports.DeadLetters
	Other   ports.DeadLetters // the same store, opened by another process

	// Forgetful is a store, the same or another, that forgets settled letters
	// after Retention: about a second, because clauses wait for its end.
	Forgetful ports.DeadLetters
	Retention time.Duration
}

// DeadLettersClauses returns the contract of [ports.DeadLetters].
func DeadLettersClauses() []Clause[DeadLetters] {
	return slices.Concat(deadLettersPut, deadLettersGet, deadLettersList, deadLettersFilter, deadLettersGroups, deadLettersSettle, deadLettersForget, deadLettersForgetUser, deadLettersAccount)
}

// Contacts is what [ContactsClauses] needs of a store of contacts.
type Contacts struct {
	Contacts ports.Contacts
	Other    ports.Contacts // the same store, opened by another process
}

// ContactsClauses returns the contract of [ports.Contacts].
func ContactsClauses() []Clause[Contacts] {
	return slices.Concat(contactsPut, contactsGet, contactsDelete, contactsList)
}

// ChannelStates is what [ChannelStatesClauses] needs of a store of channels and
// pauses.
type ChannelStates struct {
	States ports.ChannelStates
	Other  ports.ChannelStates // the same store, opened by another process
}

// ChannelStatesClauses returns the contract of [ports.ChannelStates].
func ChannelStatesClauses() []Clause[ChannelStates] {
	return slices.Concat(channelStatesNames, channelStatesPauses, channelStatesOpenings)
}

// OperatorActions is what [OperatorActionsClauses] needs of a store of operators' actions.
type OperatorActions struct {
	Actions ports.OperatorActions
	Other   ports.OperatorActions // the same store, opened by another process

	// Forgetful is a store, the same or another, that forgets actions after Retention:
	// about a second, because clauses wait for its end.
	Forgetful ports.OperatorActions
	Retention time.Duration
}

// OperatorActionsClauses returns the contract of [ports.OperatorActions].
func OperatorActionsClauses() []Clause[OperatorActions] {
	return slices.Concat(operatorActionsBegin, operatorActionsEnd, operatorActionsList, operatorActionsForget)
}

// Channel is what [ChannelClauses] needs of a notification channel, and of the
// receiver behind it, which accepts every notification until Begin or Hang is called.
type Channel struct {
	Channel ports.Channel

	// Received returns the ids of the notifications that the receiver has accepted.
	Received func() []string

	// Address is the receiver's, and WrongAddresses are some that the channel can't
	// send to. Both are empty unless the channel is a [ports.AddressedChannel].
	Address        string
	WrongAddresses []string

	// Faults are what the receiver may do instead of accepting. An AddressedChannel
	// has one of each outcome, any other channel at least one that is Unreachable.
	Faults []ReceiverFault

	// Hang lets the receiver answer no notification from now on, until Heal.
	Hang func()

	// Heal ends the fault or the hanging. The receiver accepts notifications again.
	Heal func()

	// Secrets are texts that no answer and no error may contain, such as the
	// password in the receiver's URL. A receiver that answers repeats them.
	Secrets []string
}

// ReceiverFault is a way in which a receiver does not accept a notification.
type ReceiverFault struct {
	Name       string         // such as "450 after RCPT"
	Begin      func()         // lets the receiver have the fault from now on, until Heal
	Outcome    domain.Outcome // Refused, Rejected or Unreachable
	Code       string         // the code in the receiver's answer; empty: it does not answer
	Gone       bool           // the receiver wants no notification any more
	RetryAfter time.Duration  // the time that the receiver asks for; zero: none
}

// ChannelClauses returns the contract of [ports.Channel] and
// [ports.AddressedChannel].
func ChannelClauses() []Clause[Channel] {
	return slices.Concat(channelSend, channelFail, channelAddress)
}
