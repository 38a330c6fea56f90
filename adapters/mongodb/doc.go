// Package mongodb keeps orders with their outbox, the log of deliveries, and
// dead letters in MongoDB.
//
// An order and its event are one document: the event follows from the order,
// so all that marks it as waiting is the field outbox, which goes when the
// event is published. One write to one document is atomic on every MongoDB, a
// standalone server included; nothing here needs a transaction, and a sparse
// index on that field is as large as the backlog.
//
//	orders      {_id: order id, user_id, product, quantity, created_at,
//	             outbox: {free_at, claim}}                    until published
//	delivery_claims
//	            {_id: {event_id, channel}, token, free_at}
//	deliveries  {_id: {event_id, channel}, order_id, attempt, sent_at}
//	dead_letters
//	            {_id: letter id, message_id, content_type, headers: [{name, value}],
//	             body, failures: [{reason, attempts, first_failure, last_failure}],
//	             since, state,
//	             content_encoding, correlation_id, reply_to,
//	             type, app_id, timestamp,                     if the sender said them
//	             settled_at, settled_by, forget_at}           unless it waits
//
// Fields that are not named here are passed over, for a later version may have
// added them. A number may have any type, if it is whole. A field that is
// missing, has another type or breaks a rule of the domain makes its document
// unreadable: lists and claims pass over it, log it and count it, and whoever
// asks for it alone gets a [ports.UnreadableError].
//
// A claim whose end, free_at, is no time is nobody's. So is a claim that ends
// later than the callers' clocks can have made it: on an event, by a lease and
// [ports.MaxPostponement] from now; on a delivery, by one and a half leases.
//
// An event is found by its outbox.free_at. If somebody removes that field but
// leaves outbox, the event is not published: only a search through all orders
// would find it, by
//
//	{outbox: {$exists: true}, "outbox.free_at": {$exists: false}}
//
// A record of a delivery that can't be read keeps its event from being sent
// again, as a permanent error, while its claim is there. Without the claim, the
// event is sent and then can't be recorded: to claim is one insert, and looks
// for a record only where there has been a claim.
//
// # URL
//
// A MongoDB connection string with the database as its path:
//
//	mongodb://localhost:27017/orderflow
//	mongodb://user:password@a,b,c/orderflow?replicaSet=rs0&authSource=admin
//
// With a user, authSource says where the user is kept; without it MongoDB looks
// in the database of the path. Options keep their usual meaning, such as
// maxPoolSize (100) and serverSelectionTimeoutMS (5000). timeoutMS (10000) is
// the bound of each call, however much longer its context would wait. What the
// promises rest on can't be set: writes wait for the majority's journal, reads
// go to the primary. An option that asks for anything else, such as w=1, is an
// error, and so are one that is given twice, one that the driver does not know or
// can't use, and a file that it can't read. With mongodb+srv, [Open] also waits
// for the name server, for as long as the machine's resolver does.
//
// The role readWrite on the database is enough; once the indexes are there, so
// are the actions find, insert, update, remove and listIndexes.
//
// # Delivery semantics
//
// A write that was answered is on the disks of the majority. An event stays in
// the outbox until it is marked, so it is published at least once: again if the
// mark was lost, and again if a claim ran out while its holder was still at
// work. Claims are kept by the callers' clocks, which must agree to well within
// the lease.
//
// Orders, claims and records of deliveries that come while a write of their
// kind is under way go together as the next one. Each caller gets its own
// answer, and none has to wait for others to come.
//
// The claim and the record of a delivery keep an event from being sent again
// only together: without either of them, it would be sent when it comes again.
//
// A document that can't be read does not stop a claim of others: it is tried
// again when its claim has run out.
//
// A dead letter that was settled is not found from forget_at on, by the callers'
// clocks; the server deletes it some time later, by a TTL index on that field.
// One that would not fit into a document, of 16 MiB with its failures, is
// refused.
//
// # Failure
//
// Whatever a server or the driver answers is [ports.ErrUnavailable], whichever
// code it has; a refused login or right (codes 18 and 13) is [ports.ErrRefused]
// as well. A write may then have been made or not, and to repeat it is safe.
// Only an error that speaks of an order or a dead letter itself, because it is
// too large or fails the collection's validator, is marked by [ports.Permanent].
// Claims and records of deliveries hold nothing of the event's making: whatever
// refuses one of them is no fault of the event. [ports.ErrExists] is said of a
// taken _id alone; a unique index that somebody else has added is an outage to
// the orders that it refuses.
//
// The driver finds the server again by itself; only [Open] is to be called again
// where it fails. What was gathered into one write shares its fate: a connection
// that is silently dead fails all of it, after half of timeoutMS.
package mongodb
