// Package sqlite keeps every port in one file: orders with their outbox, deliveries,
// dead letters, contacts, channel states, what operators did, and the queues of a broker. It
// needs no server and no cgo.
//
// # URL
//
// The URL is sqlite:PATH. A relative path is relative to the working directory; an
// absolute one may have two more slashes, as in sqlite:///var/lib/orderflow.db. %XX is a
// byte, so that a path may contain ? and %. These options have the names and values of
// SQLite's pragmas:
//
//   - synchronous: full (default) or extra
//   - cache_size: of the connection that writes, in pages, or in KiB if negative; default
//     -2000, at most 1 GiB. Each of the five that read has a quarter of it.
//
// [Open] makes the file, readable by its owner alone, but not its folder. It refuses a
// file of another application, of a later release, or damaged at the beginning or the
// end, and one on a network file system, where it can tell. It also refuses a file with a
// hard link, and one that is mounted without its folder: SQLite would keep a log for each
// name, and destroy the file. It can't tell the latter before Linux 5.8, or that a file
// system shows one file at two places, such as bindfs: there use one path only. It reads only a few pages.
// The call that meets other damage returns an error. A backup should be checked.
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
// own beside the database while it lives, and writes nothing while it is idle. Once the
// lock is free, the others free what the owner has claimed or taken, within a second, and
// so does the next start. A copy of the database has no owners.
//
// # Failure
//
// While the disk is full, or the file can't be written, methods return
// [ports.ErrUnavailable] with the file's name and the way out. Nothing that was kept
// before is lost, and the store works again once the cause is mended. Only a file that
// was deleted, moved or replaced while it was open needs a restart: what is written to
// a deleted file is lost with it, so nothing is acknowledged after that.
//
// A write waits up to five seconds for the transactions of other processes, and a call at
// most ten seconds in all.
package sqlite
