// Package account adds up what became of all orders: each is kept, its event waits or is
// published, and for each recipient of each channel the event is in the queue, or its
// notification is in one of its states. A difference is an event that nobody accounts for.
package account
