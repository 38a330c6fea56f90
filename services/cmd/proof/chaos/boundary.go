package main

// step is a message by which a process, or a server for it, changes what is stored
// or promised.
type step string

const (
	stepAdd    step = "add"    // an order with its event
	stepMark   step = "mark"   // an event as published
	stepClaim  step = "claim"  // a delivery
	stepRecord step = "record" // a delivery

	stepPublish   step = "publish"
	stepConfirm   step = "confirm" // by the broker
	stepAck       step = "ack"     // an event
	stepLetterAck step = "ack of a dead letter"
)

// answered is the step that the server's answer is.
func (s step) answered() step {
	if s == "" {
		return ""
	}
	return s + " answered"
}

// boundary is a place between two steps at which a process is killed.
type boundary struct {
	name    string
	program string // of the process
	server  string // on the link to which the step passes
	step    step   // held back while the process is killed
	poison  bool   // only a message that no handler can handle leads there
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

// title names a kill at the boundary in the report.
func (b boundary) title() string { return "kill -9 " + b.name }
