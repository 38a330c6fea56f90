// Package memory keeps orders, events, deliveries and dead letters in the memory
// of one process: the default where no server is set up, and the stand-in for
// tests.
//
// The zero [Orders], [Broker], [Deliveries] and [DeadLetters] are ready for use.
// Fields are set before the first call; copies are not to be made.
//
// # URL
//
// "memory:", without host, path or parameters. What stands behind it is seen by
// this process alone, and every value is a store of its own.
//
// # Delivery semantics
//
// At least once, as with the servers, for as long as the process lives. The
// broker carries events in the form in which they travel between processes, so
// that what works here has no surprise there. Events of one order are never
// handled at once within one call of Consume. A dead letter that was not kept
// comes again after 10 s.
//
// # Failure
//
// There is no server to be away: a call fails only because its context has
// ended, and has then changed nothing. When the process ends everything is
// gone: orders, outbox, queue and dead letters. Nothing bounds how much is kept.
package memory
