// Package rabbitmq carries events by RabbitMQ, 3.10 or later: [Publisher] and
// [Consumer], over the queues of a [Topology], and [DeadLetterQueue] for what
// the consumers set aside. All queues are quorum queues, so that what RabbitMQ
// promises to keep is on disk, on most nodes of a cluster.
//
// # URL
//
// As RabbitMQ has it, the virtual host as its path; user and password are
// percent-encoded:
//
//	amqp://user:password@localhost:5672/
//	amqps://user:password@broker.example.com/shop?cacertfile=/etc/ssl/broker.pem
//
// Without a user it is guest, who may log in only from the broker's own
// machine. The options are:
//
//	cacertfile, certfile, keyfile  files in PEM, for amqps: alone
//	server_name_indication         the name that the broker's certificate must have, for amqps: alone
//	auth_mechanism                 plain, amqplain or external
//	heartbeat                      10, in seconds
//	connection_timeout             15000, in milliseconds
//	channel_max                    2 or more
//
// An option that is unknown, is given twice, has no effect, or has a value that
// can't be read is an error at once, as is a file that can't be used.
//
// # Permissions
//
// On a virtual host where everything is declared already, nobody needs to
// configure anything:
//
//	                                      write                                          read
//	Publisher                             ^orders$                                       none
//	Consumer                              ^(order_created\.dead-letter|amq\.default)$    ^order_created$
//	DeadLetterQueue: Drain                ^amq\.default$                                 ^order_created\.dead-letter$
//	DeadLetterQueue: Replay               ^amq\.default$                                 none
//
// Whoever comes first declares, and needs for that, and for all the others do:
//
//	configure  ^(orders|order_created(\..*)?)$
//	write      ^(orders|order_created(\..*)?|amq\.default)$
//	read       ^(orders|order_created(\..*)?)$
//
// What a user may not declare is taken as it is. Whether it is there can be told
// only where the user has some permission on it.
//
// # Policies
//
// The policy keys message-ttl, expires, overflow and delivery-limit overrule the
// queues' arguments, and may empty or delete queues. [CheckPolicies] looks for
// such policies.
//
// # Delivery semantics
//
// Publish returns nil once the broker has confirmed every event and a queue has
// taken it; events are persistent. A consumer acknowledges an event once its
// handler has dealt with it. So each event is handled at least once: again, if
// an answer or an acknowledgement was lost. Events are not in order.
//
// An event whose handler fails is published anew to the queue of its delay,
// with a count of its attempts, and dead-letters from there back into the main
// queue; after the last attempt, or a failure marked as permanent, it is
// published to the dead letters. The original is acknowledged when the broker
// has confirmed the new one, so between the two a crash leaves both, not none.
// A dead letter is the sender's message with these headers:
//
//	orderflow-attempts       how often it was handed over, or tried to be
//	orderflow-reason         why the last attempt failed
//	orderflow-first-failure  RFC 3339, with milliseconds
//	orderflow-last-failure   RFC 3339, with milliseconds
//
// The broker itself dead-letters, into the same queue, a message that was in
// the hands of a consumer which crashed or lost its connection for the 21st
// time. It then has x-death headers that name the reason delivery_limit, and
// none of these, or those of its last failure. To RabbitMQ before 4.3, a
// message that is given back when a consumer stops counts the same. Drained,
// such a letter has failed when the broker's note says, to the second, after
// 21 attempts and those that orderflow-attempts counts.
//
// What somebody else puts among the dead letters is taken for one too, with no
// attempts. It gets the headers above, and if it has none a message id, before
// it is drained: only so is it the same letter at each reading.
//
// A drained letter has its headers as text. It has none of these headers, none
// of the broker's, and neither CC nor BCC, which would address copies of it. Of
// headers longer than 64 KiB it lacks the longest.
//
// A message that is put back, set aside or replayed loses the headers that do
// not fit into a frame (frame_max) of that connection, the longest first. 2 KiB
// of the frame are left for what the broker adds on the way back. An event's
// own headers, and those above, may use these 2 KiB and go last. A warning names
// the headers that were left out.
//
// Beside the headers its body and its properties are kept and replayed: message
// id, content type and encoding, correlation id, reply-to, type, app id and
// timestamp. Expiration, user id and priority are not: a replayed message would
// vanish, be refused or overtake others by them.
//
// One that is not kept stays in hand for 10 s, or if it is one of more than 25
// for half a second, and is then published anew to the end of the dead letters,
// so that it is behind all others. A crash between that and the acknowledgement
// leaves it there twice, as the same letter with the same failure.
//
// # Failure
//
// Publishers, consumers and dead-letter queues connect when they are used and
// connect again, with growing pauses of up to 5 s, when the connection is lost;
// each such change is logged once. A lost connection leaves it open what has
// become of the messages on their way: Publish and Replay give
// [ports.ErrUnavailable], and what a consumer or a drain had in hand comes
// again. A dead link is noticed by heartbeats, after 15 s.
//
// While the broker is short of memory or disk and takes no messages, Publish,
// Replay and Ping give [ports.ErrUnavailable] at once; a call that is under way
// waits as long as its context lets it, for what it has sent the broker may yet
// take, and to send it again would double it. Consumers and drains go on; an
// event whose handler fails, or a dead letter that is not kept, stays in hand
// until the broker takes messages again.
//
// The library drops the connection over a message whose headers are nested more
// than 32 deep, or more than 8192. After that, deliveries come one by one, with
// hardly a pause between connections, until the broker has set the message
// aside and 5 s have passed: it breaks 21 connections to the main queue and 51
// to the dead letters, all but the first alone, and ends in a queue of its own,
// which nobody takes from. A letter that can be read would end there too, if so
// many connections were lost or, before RabbitMQ 4.3, so many drains stopped
// while it was in hand.
//
// The same happens to a message of somebody else whose headers are near the size
// of a frame, once the broker has added its own: x-delivery-count when it is
// delivered again, x-death when the broker itself dead-letters it.
//
// A consumer or a drain has a few more than 16 MiB in hand at most, whatever
// its prefetch; while it has no room, it reads nothing from the broker. If that
// lasts 30 s, it connects anew and takes deliveries one by one, until no large
// one has come for 5 s.
//
// A queue that is there with other properties is a [*TopologyError], which says
// what to do. A topology that RabbitMQ can't have, by its names or its delays, is
// an [*InvalidTopologyError]. A queue that was deleted is declared again with the next connection.
//
// A login or a right that is refused is a [ports.ErrRefused], with what would
// allow it. Consume and Drain end with it if they have not worked before, once
// it was refused twice: a broker that goes down during a login looks the same.
// All other refusals may pass by themselves and are [ports.ErrUnavailable] in
// the broker's words: limits of connections, channels and queues, or a virtual
// host that is not there yet.
//
// While a connection is lost, that is logged when the reason changes and each
// minute.
package rabbitmq
