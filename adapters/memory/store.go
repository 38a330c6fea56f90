package memory

import (
	"context"

	"example.com/orderflow/ports"
)

// Store is orders, deliveries, dead letters, contacts, channel states and operators' actions.
// The zero Store is ready for use.
type Store struct {
	orders      Orders
	deliveries  Deliveries
	deadLetters DeadLetters
	contacts    Contacts
	states      ChannelStates
	actions     OperatorActions
}

var _ ports.Pinger = (*Store)(nil)

// Orders returns the orders and their outbox.
func (s *Store) Orders() *Orders { return &s.orders }

// Deliveries returns the log of the notifications.
func (s *Store) Deliveries() *Deliveries { return &s.deliveries }

// DeadLetters returns the dead letters.
func (s *Store) DeadLetters() *DeadLetters { return &s.deadLetters }

// Contacts returns the users' contacts.
func (s *Store) Contacts() *Contacts { return &s.contacts }

// ChannelStates returns the channels and their pauses.
func (s *Store) ChannelStates() *ChannelStates { return &s.states }

// OperatorActions returns what operators did.
func (s *Store) OperatorActions() *OperatorActions { return &s.actions }

// Ping returns nil: no server has to answer.
func (s *Store) Ping(context.Context) error { return nil }

// Close returns nil: no connection has to be closed.
func (s *Store) Close(context.Context) error { return nil }
