package sqlite

import (
	"sync"
	"time"
)

// bells wake the goroutines of this process that wait for new messages, by the queue's
// name. The zero bells are ready for use.
type bells struct {
	mu   sync.Mutex
	next map[string]chan struct{} // closed by the next ring
}

// deadLetters is the name of the queue of dead letters. No subscription can have it.
const deadLetters = "dead letters"

// await returns a channel that the queue's next ring closes.
func (b *bells) await(queue string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(map[string]chan struct{})
	}
	if b.next[queue] == nil {
		b.next[queue] = make(chan struct{})
	}
	return b.next[queue]
}

func (b *bells) ring(queue string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if next := b.next[queue]; next != nil {
		close(next)
		delete(b.next, queue)
	}
}

func (b *bells) ringAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, next := range b.next {
		close(next)
	}
	clear(b.next)
}

// watchInterval is how often a process looks for the writes of others. A look reads
// one number in shared memory.
const watchInterval = 50 * time.Millisecond

// watch rings all bells after each change of the file by another connection, until
// the store is closed.
func (s *Store) watch() {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		if s.watcher.sawChange() {
			s.bells.ringAll()
		}
		select {
		case <-tick.C:
		case <-s.closing:
			return
		}
	}
}

// sawChange reports whether another connection has changed the file since the last call.
// SQLite counts the changes for each connection, so it has to be the same one.
func (c *connection) sawChange() bool {
	version := c.dataVersion
	err := (&tx{connection: c}).query(func(r row) bool { version = r.ColumnInt64(0); return false }, "PRAGMA data_version")
	changed := err == nil && version != c.dataVersion
	c.dataVersion = version
	return changed
}
