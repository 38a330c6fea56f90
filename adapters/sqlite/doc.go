// Package sqlite keeps every port in one file: orders with their outbox, deliveries,
// dead letters, contacts, channel states, and the queues of a broker. It needs no
// server and no cgo.
//
// # URL
//
// The URL is sqlite:PATH. A relative path is relative to the working directory. These
// options have the names and values of SQLite's pragmas:
//
//   - synchronous: full (default) or extra
//   - cache_size: of each connection, in pages, or in KiB if negative; default -2000
//
// # Delivery semantics
//
// One goroutine writes. While it commits one transaction, the calls that arrive wait
// together and are the next one, so that many callers share one sync of the disk.
// Readers never wait for it.
//
// What a method promises to keep is on the disk when the method returns. Claims,
// acknowledgements and marks are committed without a sync of their own. They survive the
// process. A power loss may undo the last of them; then the event or delivery comes
// again, and is recognised.
//
// Several processes may open one file. Each is an owner: it holds a lock on a file of its
// own beside the database while it lives. What an owner has claimed or taken is free
// for the others as soon as the lock is.
//
// # Failure
//
// While the disk is full, or the file can't be written, methods return
// [ports.ErrUnavailable] with the file's name and the way out. Nothing that was kept
// before is lost, and the store works again once the cause is mended.
package sqlite
