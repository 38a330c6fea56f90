// Package rabbitmq carries events over RabbitMQ, 3.10 or later. [Open] returns a
// [Broker], which has a [Publisher], a [Consumer] for the main queue and for each
// subscription, and a [DeadLetterQueue] for the queues of one [Topology]. All queues are quorum queues: a message that RabbitMQ
// has confirmed is on disk, on most nodes of a cluster.
//
// # URL
//
// A RabbitMQ URI. Its path is the virtual host; user and password are
// percent-encoded:
//
//	amqp://user:password@localhost:5672/
//	amqps://user:password@broker.example.com/shop?cacertfile=/etc/ssl/broker.pem
//
// The default user is guest, which may log in from the broker's own machine only.
// The options are:
//
//	cacertfile, certfile, keyfile  files in PEM, for amqps: only
//	server_name_indication         the name that the broker's certificate must have, for amqps: only
//	auth_mechanism                 plain, amqplain or external
//	heartbeat                      10, in seconds
//	connection_timeout             15000, in milliseconds
//	channel_max                    2 or more
//
// Open refuses an option that is unknown, given twice, without effect or
// unreadable, and a file that can't be used.
//
// # Permissions
//
// On a virtual host where everything is declared, no user needs the permission to
// configure:
//
//	                            write                                               read
//	Publisher                   ^orders$                                            none
//	Consumer                    ^(order_created\.dead-letter|amq\.default)$         ^order_created$
//	Consumer of subscription s  ^(order_created\.(dead-letter|s)|amq\.default)$     ^(orders|order_created\.s)$
//	DeadLetterQueue.Drain       ^amq\.default$                                      ^order_created\.dead-letter$
//	DeadLetterQueue.Replay      ^amq\.default$                                      none
//	DeadLetterQueue.SetAside    ^(order_created\.dead-letter|amq\.default)$         none
//
// A subscription's consumer binds its queue to the exchange each time it connects,
// because nobody would notice a missing binding. Waiting needs any permission on the
// queue. The first user to connect, and the first consumer of a subscription, declare
// what they use. They need these permissions:
//
//	configure  ^(orders|order_created(\..*)?)$
//	write      ^(orders|order_created(\..*)?|amq\.default)$
//	read       ^(orders|order_created(\..*)?)$
//
// If a user may not declare a queue or exchange, the adapter assumes that it has
// the right properties. With any permission on it, a user gets an error if it does
// not exist.
//
// # Policies
//
// The policy keys message-ttl, expires, overflow and delivery-limit overrule the
// queues' arguments, and may empty or delete queues. [CheckPolicies] looks for
// such policies.
//
// # Delivery semantics
//
// At least once, in no order. Publish returns nil for an event once the broker has
// confirmed it and a queue has taken it. A consumer acknowledges an event once its
// handler has returned. If a confirm or an acknowledgement is lost, the event comes
// again.
//
// The consumer publishes a failed event to the queue of its delay, with a count of
// its attempts. From there the broker dead-letters it back into the same queue.
// After the last attempt, or a permanent failure, the consumer publishes it to the
// dead letters. The consumer acknowledges the original once the new message is
// confirmed; a crash between the two leaves both.
//
// A dead letter is the sender's message with these headers:
//
//	orderflow-attempts       how many attempts have failed
//	orderflow-reason         the last failure's error
//	orderflow-first-failure  RFC 3339, with milliseconds
//	orderflow-last-failure   RFC 3339, with milliseconds
//	orderflow-subscription   from whose queue it was set aside; missing: the main queue
//
// All queues share the dead letters, and Replay publishes a letter to the queue that
// it came from. The exchange copies each event into the main queue and into the queue
// of each subscription that exists. A subscription's queue and its retry queues stay
// when nobody consumes from them any more: Consumer.Waiting counts the events in it,
// and "rabbitmqctl delete_queue" deletes it.
//
// The broker itself dead-letters a message at the 21st crash or lost connection of
// a consumer that has not acknowledged it. Before RabbitMQ 4.3, a message that a
// stopping consumer gives back counts the same. Such a letter has x-death headers
// with the reason delivery_limit, and the headers above only from an earlier
// failure. Its subscription is that of the queue in x-death, and its time of failure
// is the broker's, to the second. Its attempts are orderflow-attempts plus 21.
//
// A message that another program puts into the dead-letter queue becomes a dead
// letter with 0 attempts. Drain first adds the headers above, and a message id if
// it has none, so that each reading returns the same letter.
//
// A drained letter has its headers as text, without those above, without the
// broker's, and without CC and BCC, which would address copies of it. If they are
// longer than 64 KiB, the longest are left out. Replay keeps the body and these
// properties: message id, content type and encoding, correlation id, reply-to,
// type, app id and timestamp. It drops expiration, user id and priority, which
// would make a replayed message vanish, be refused or overtake others.
//
// If a message is retried, set aside or replayed, headers that do not fit into a
// frame (frame_max) of that connection are left out, the longest first; a warning
// names them. 2 KiB of the frame are reserved for the headers that the broker adds
// later. Only an event's own headers and those above may use the reserve.
//
// Drain publishes a letter that was not kept to the end of the dead letters. It does
// so after 10 s, or after half a second if more than 25 wait. A crash between that
// and the acknowledgement leaves it twice, as the same letter with the same failure.
//
// # Failure
//
// Each part connects when it is first used. When it loses its connection, it
// connects again with a backoff of up to 5 s. Each change is logged once, and an
// outage again every minute. A lost connection leaves the outcome of pending
// messages unknown: Publish and Replay return [ports.ErrUnavailable], and
// unacknowledged deliveries come again. Heartbeats detect a dead link after 15 s.
//
// While the broker is short of memory or disk and takes no messages, Publish, Replay
// and Ping return [ports.ErrUnavailable] immediately. Pending calls wait until their
// contexts end, because the broker may still take their messages. Consumers and
// drains continue, but a failed event, or a letter that was not kept, stays
// unacknowledged until the broker takes messages again.
//
// The library drops the connection when it receives a message whose headers are
// nested more than 32 deep or number more than 8192. A message of another program
// does the same if its headers exceed the frame after the broker has added
// x-delivery-count or x-death. Then a consumer takes deliveries one by one and
// connects almost without pauses. It does so until the broker has set the message
// aside and 5 s have passed. The message breaks 21 connections to a queue of events
// and 51 to the dead letters. It ends in the queue for unreadable messages, which
// nothing consumes. A readable letter also ends there if it was unacknowledged at 51
// lost connections; before RabbitMQ 4.3, stopped drains count too.
//
// A consumer or a drain holds little more than 16 MiB of deliveries, whatever its
// prefetch, and then stops reading. After 30 s without reading it connects again. It
// then takes deliveries one by one, until none of 1 MiB or more has come for 5 s.
//
// A [*TopologyError] is returned when a queue or exchange exists with other
// properties; its text says what to do. An [*InvalidTopologyError] is returned when
// RabbitMQ does not accept a name or a delay, or when a subscription's name is
// reserved. The next connection declares a deleted queue again. Replay returns
// [ports.ErrUnavailable] for a letter whose subscription's queue does not exist.
//
// [ports.ErrRefused] is returned when the broker refuses a login or a right; the
// error says how to allow it. Consume and Drain return it at the second refusal if
// they have not worked before: the first may come from a broker that stops during
// the login. Every other refusal may pass by itself and is a [ports.ErrUnavailable]:
// limits of connections, channels and queues, or a virtual host that does not exist
// yet.
package rabbitmq
