// Package memory keeps orders, events, deliveries, dead letters, contacts, channel
// states and what operators did in the memory of one process, for tests and for trying
// the services without servers.
//
// A [Store] and a [Broker] hand out the parts that are the ports. The zero values of
// both, and of the store's parts, are ready for use. Set fields before the first
// call, and don't copy the values.
//
// # URL
//
// "memory:", without host, path or parameters. Each Store and each Broker is
// separate, and no other process sees it.
//
// # Delivery semantics
//
// At least once, as with the servers, while the process lives. The broker encodes
// and decodes events as the servers' adapters do. Each subscription has a queue of
// its own, from the first call of its consumer on. One call of Consume never handles
// two events of one order at once. A dead letter that was not kept comes again after
// 10 s.
//
// # Failure
//
// A call fails only if its context has ended, or if the queue that it names does not
// exist or may not exist. Then it has changed nothing. All
// data is lost when the process ends, and nothing bounds its size.
package memory
