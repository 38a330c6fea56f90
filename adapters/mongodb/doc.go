// Package mongodb stores orders with their outbox, the delivery log, contacts,
// channels with their pauses, and dead letters in MongoDB.
//
// An order and its event are one document, because the event follows from the
// order. The field outbox marks the event as waiting; publishing removes it. A
// write to one document is atomic on every MongoDB, a standalone server included,
// so no transaction is needed. A partial index on the field is as large as the
// backlog.
//
//	orders      {_id: order id, user_id, product, quantity, created_at,
//	             outbox: {free_at, claim}}                    until published
//	delivery_claims
//	            {_id: {event_id, channel, recipient}, token, free_at}
//	deliveries  {_id: {event_id, channel, recipient}, order_id, user_id, receiver,
//	             sent_at, first,
//	             attempts: [{at, ms, outcome, code, answer}],
//	             attempt,                                     if it is sent
//	             state, reason, tries,                        if it is not
//	             wait: {channel, next_try,                    while it waits
//	              held_by: {channel, receiver},               while it is held
//	              event: {type, time, user_id, product, quantity, created_at},
//	              claim: {token, free_at}}}                   while it is claimed
//	contacts    {_id: user id, language, addresses: [{channel, address}], off: [channel],
//	             updated_at}
//	channels    {_id: name}
//	pauses      {_id: {channel, receiver}, kind, reason, by, since, probe, probes}
//	owners      {_id: owner id, beats, at, floors}            while the store is open
//	counts      {_id: collection, rev, upto, tallies, late}
//	totals      {_id: {what, of, whose}, n}                   dead letters by state, and expired dead notifications
//	openings    {_id: {channel, recipient}, at, before, uncertain}
//	operator_actions
//	            {_id: action id, at, by, action, target, reason, outcome, forget_at,
//	             ended_at, count, error}                      once it has ended
//	dead_letters
//	            {_id: letter id, message_id, content_type, headers: [{name, value}],
//	             body, failures: [{reason, attempts, first_failure, last_failure}],
//	             since, state, subscription, reason_group,
//	             event_type, user_id,                         as far as they are known
//	             content_encoding, correlation_id, reply_to,
//	             type, app_id, timestamp,                     if the sender set them
//	             settled_at, settled_by, forget_at}           once settled
//
// Reading ignores other fields, which a later version may have added. A number
// may have any type, if it is whole. A document is unreadable if a field is
// missing, has another type or breaks a rule of the domain. Lists and claims skip
// such a document, log it and count it. A call for that document alone returns a
// [ports.UnreadableError].
//
// Empty fields are left out of deliveries and their ids. Whether sent or not, sent_at
// is when the notification last changed. The records of earlier versions have only
// order_id, attempt and sent_at; they stay readable. Earlier versions can read the
// records of sent notifications. The others are unreadable to them, because these have
// no attempt, so no version takes one for sent.
//
// The record of a delivery prevents a second notification only together with its
// claim. If somebody deletes one of them, the event is sent again when it comes
// again. If the record is unreadable, the event fails with a permanent error, but
// only while its claim exists. Claiming is one insert; it looks for a record only
// if the insert finds a claim. Recording is one insert, too, unless the notification
// was recorded before: then the new record replaces the old one, if that is not sent.
//
// An order's deliveries are a range of ids, because the ids of its events begin with
// the order's id. The indexes for claims, and for all states but sent, hold only the
// documents that have those fields, so they cost a sent notification nothing. The
// index order of earlier versions is not needed any more. [Open] drops it. If the
// server refuses that, Open logs a warning, and each record costs some time more. While
// a process of an earlier version runs, it lists an order's deliveries slowly.
//
// The outbox finds events by outbox.free_at. If somebody removes that field but
// leaves outbox, the event is never published. This filter finds such orders, by
// reading all of them:
//
//	{outbox: {$exists: true}, "outbox.free_at": {$exists: false}}
//
// # Claims
//
// A claim ends at free_at, the end of its lease, or earlier with its owner. The
// owner is the open store that made it. The claim's token (in outbox, the field
// claim) begins with the owner's id and a full stop.
//
// Every 2 s an owner increments beats in its document, then reads the other
// owners' documents. It ends an owner whose document has not changed in 5 readings
// in a row: it frees the events and the waiting notifications that this owner has
// claimed, then deletes the document. A reading counts only after a successful beat of the reader, so an
// outage that hits all processes ends no claim. No clocks are compared. A claim on
// a delivery is free if its owner has no document. So the claims of a killed
// process are free after 8 to 10 s if another process runs. Close frees them at
// once.
//
// A process that was only paused writes its document again. Its earlier claims
// may be lost, as if their leases had ended. A process whose last beat is older
// than 4 s makes claims without an owner; they last for the whole lease. So do
// the claims of earlier versions, which may run at the same time.
//
// A claim is also free if free_at is not a time, or is too far ahead: by more than
// a lease plus [ports.MaxReleaseDelay] for an event, or one and a half leases for a
// delivery. Only a wrong clock can have made such a claim.
//
// While a notification waits, its record holds the claim: whoever claims it adds the
// field wait.claim, by one update of all that a call claims, then reads which of them it
// got. A record that is not of a sent notification needs that claim. A record of a
// sent one does not, and replaces every other.
//
// # URL
//
// A MongoDB connection string with the database as its path:
//
//	mongodb://localhost:27017/orderflow
//	mongodb://user:password@a,b,c/orderflow?replicaSet=rs0&authSource=admin
//
// With a user, authSource names the user's database; the default is the database
// in the path. Options keep their usual meaning, such as maxPoolSize (100) and
// serverSelectionTimeoutMS (5000). timeoutMS (10000) bounds each call, even if its
// context allows more. The guarantees depend on some options, which can't be
// changed: writes wait for the majority's journal, and reads go to the primary.
// Open returns an error for another value of these, such as w=1. It also returns
// an error for an option that is given twice, is unknown to the driver, has no
// effect, or names an unreadable file. With mongodb+srv, [Open] also waits for the
// name server until the machine's resolver gives up.
//
// The role readWrite on the database is enough. Once the indexes exist, so are
// the actions find, insert, update, remove and listIndexes. [BuildIndexes] builds
// the indexes beforehand; with Options.KeepIndexes, Open builds none. [Check]
// finds out whether the server, its certificates, the rights and the indexes are
// as a store needs them.
//
// # Delivery semantics
//
// A write that was answered is on the disks of the majority. An event stays in
// the outbox until it is marked, so it is published at least once. It is
// published again if the mark is lost, or if its claim ends before it is marked.
// The leases of claims use the callers' clocks, which must agree to well within a
// lease.
//
// Orders, claims and delivery records that arrive during a write of their kind
// go together as the next write. Each caller gets its own answer, and nobody
// waits for more callers to arrive.
//
// If a process dies after it has claimed a delivery, the claim ends with its owner. If
// it dies after it has sent the notification and before it has recorded that, the
// notification is sent again. After the record, nothing is repeated: the event comes
// again, finds the record, and is done.
//
// Expire deletes the claims, then their records. A process that dies in between leaves
// records that the next call deletes. If such an event came again before that, it would
// be sent again. Expire reads the oldest records first, and passes those that wait, so
// it gets slower if very many wait for longer than the retention. Forget changes
// a user's deliveries in batches, and dead letters one by one; the next call goes on
// where it stopped. A notification that is being sent meanwhile is recorded with the
// user's id: forget the user again after that.
//
// An unreadable document does not stop a claim of others. It stays claimed, and
// is tried again when that claim ends.
//
// From forget_at on, by the callers' clocks, no call finds a settled dead letter.
// The server deletes it some time later, by a TTL index on that field. Put refuses
// a dead letter whose message takes more than 15 MiB, because a document takes at
// most 16 MiB. The same holds for what operators did, a year after it began.
//
// Groups counts dead letters by reason_group, that of the latest failure. If two failures of
// one letter are put at once, it may be that of the other. Dead letters of earlier versions
// have no reason_group until they fail again, and are found by no type, user or group.
//
// # Accounts
//
// The counts of orders, and of notifications that are sent or skipped, are kept up to a
// time that the first owner moves on with each beat. Nothing is counted when a record is
// written: an account adds the records of the last few seconds, which it finds by their
// time. So a crash loses no count. The records of an earlier version are counted once,
// soon after the first store has opened; until then an account reads all of them. The counts don't
// move on while a process of an earlier version is open, whose owner has no floors.
//
// A record that is older than its owner's floor has a token, late, by which it is counted.
// That costs one write for all such records between two beats.
//
// An account can be off in these cases. A settled dead letter, or up to one Expire of dead
// notifications, is missing if the process dies between the change and its count; those
// settled before this version are missing, too. A record is missing if its process stood still for more than 8 s
// between the check of its sign of life and the write.
//
// # Failure
//
// Every error of a server or the driver is [ports.ErrUnavailable], whatever its
// code; a refused login or right (codes 18 and 13) is [ports.ErrRefused] as well.
// The write may have happened or not, and it is safe to repeat it. An error is
// marked by [ports.Permanent] only if an order, a contact, a pause or a dead letter is
// too large or fails the collection's validator. An event can't cause the refusal of a claim or
// a delivery record, so that is an outage. [ports.ErrExists] is returned for a
// taken _id only: a conflict with a unique index that somebody has added is an
// outage.
//
// The driver reconnects by itself; only a failed [Open] has to be called again.
// Calls that share a write share its failure: a connection that is silently dead
// fails all of them, after half of timeoutMS.
package mongodb
