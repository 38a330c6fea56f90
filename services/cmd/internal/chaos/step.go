package main

// step is a message by which one of our processes, or a server it talks to,
// goes from one state to the next.
type step string

const (
	stepAdd    step = "add"    // of an order with its event
	stepMark   step = "mark"   // of an event as published
	stepClaim  step = "claim"  // of a delivery
	stepRecord step = "record" // of a delivery

	stepPublish   step = "publish"
	stepConfirm   step = "confirm" // by the broker
	stepAck       step = "ack"     // of an event
	stepLetterAck step = "ack of a dead letter"
)

// answered is the step that the server's answer is.
func (s step) answered() step {
	if s == "" {
		return ""
	}
	return s + " answered"
}

// The names that the services give their queues and collections.
const (
	mainQueue       = "order_created"
	deadLetterQueue = "order_created.dead-letter"

	ordersCollection     = "orders"
	claimsCollection     = "delivery_claims"
	deliveriesCollection = "deliveries"
)

// step is what the command is for, known by what it writes: which command does
// it, alone or with others, is the adapter's business.
func (c command) step() step {
	switch {
	case c.collection == ordersCollection && c.sets["_id"]:
		return stepAdd
	case c.collection == ordersCollection && c.unsets["outbox"]:
		return stepMark
	case c.collection == claimsCollection && c.sets["token"]:
		return stepClaim
	case c.collection == deliveriesCollection && c.sets["sent_at"]:
		return stepRecord
	}
	return ""
}

// boundary is a place between two steps where a process is killed.
type boundary struct {
	name    string
	program string // of the process
	server  string // on the link to which the step is seen
	step    step   // the process is killed while this is held back
	poison  bool   // needs a message that can't be handled
}

var boundaries = []boundary{
	{"after the write, before the answer", programOrder, serverStore, stepAdd.answered(), false},
	{"before the publish", programOrder, serverBroker, stepPublish, false},
	{"after the publish, before the confirm", programOrder, serverBroker, stepConfirm, false},
	{"after the confirm, before the mark", programOrder, serverStore, stepMark, false},
	{"after the claim, before the send", programNotification, serverStore, stepClaim.answered(), false},
	{"after the send, before the record", programNotification, serverStore, stepRecord, false},
	{"after the handler, before the ack", programNotification, serverBroker, stepAck, false},
	{"after a hand-over, before its confirm", programNotification, serverBroker, stepConfirm, true},
	{"after a letter is kept, before its ack", programNotification, serverBroker, stepLetterAck, true},
}
