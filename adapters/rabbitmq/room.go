package rabbitmq

import (
	"errors"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// maxHeld is how many bytes of deliveries an intake has in hand before it
	// takes no more; a prefetch bounds only their number. Events never get there.
	maxHeld = 16 << 20

	// maxAhead is how much of one delivery, or of some that are yet to be taken,
	// is read at full speed.
	maxAhead = 4 << 20

	// A large delivery has at least so many bytes.
	large = 1 << 20

	// maxPause is how long an intake takes nothing. Then it gives back what the
	// broker has on its way, which may be so much that the broker is short of
	// memory, and takes no message by which room would be made here.
	maxPause = 30 * time.Second
)

var errNoRoom = errors.New("too many bytes were in hand for too long; deliveries are taken one by one")

// room counts the bytes of the deliveries in hand, over all sessions. While
// there is no room for more, nothing is read from the broker: it waits.
type room struct {
	mu     sync.Mutex
	held   int           // bytes
	stalls int           // who else wants nothing to be read
	large  int           // how many large deliveries are in hand
	seen   bool          // a large one has been, since calm was asked
	takes  int           // of deliveries, ever
	free   chan struct{} // closed when there is room; nil: there is
}

func (r *room) take(n int) { r.change(n, 0) }
func (r *room) give(n int) { r.change(-n, 0) }

func (r *room) change(bytes, stalls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes > 0 {
		r.takes++
	}
	r.held += bytes
	r.stalls += stalls
	switch {
	case bytes >= large:
		r.large++
		r.seen = true
	case -bytes >= large:
		r.large--
	}
	full := r.held > maxHeld || r.stalls > 0
	switch {
	case full && r.free == nil:
		r.free = make(chan struct{})
	case !full && r.free != nil:
		close(r.free)
		r.free = nil
	}
}

// full returns what is closed when there is room; nil: there is.
func (r *room) full() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.free
}

// crowded reports whether the deliveries in hand fill half of the room.
func (r *room) crowded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held > maxHeld/2
}

// overfull reports whether it is the deliveries that leave no room.
func (r *room) overfull() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held > maxHeld
}

// calm reports whether no large delivery is in hand, nor has been since it was
// last asked.
func (r *room) calm() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.seen = false }()
	return r.large == 0 && !r.seen
}

// size returns about how many bytes of memory a delivery takes. Headers are
// kept in tables, which take a few times as much as they do on their way.
func size(d amqp.Delivery) int { return len(d.Body) + 4*encodedSize(d.Headers) }

// taken returns how many deliveries have been taken.
func (r *room) taken() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.takes
}

// door is where a session's bytes come in.
type door struct {
	room    *room
	closed  <-chan struct{}
	limit   time.Duration
	tooLong func() // called if deliveries in hand leave no room for so long

	takes, ahead int // bytes that were read since so many deliveries were taken
}

// wait waits until there is room for more than the bytes that were read of
// late.
func (d *door) wait(read int) (waited bool, err error) {
	if takes := d.room.taken(); takes != d.takes {
		d.takes, d.ahead = takes, 0
	}
	d.ahead += read
	if d.ahead > maxAhead {
		time.Sleep(time.Duration(read) * time.Millisecond / large) // what was read has yet to be taken, and counted
	}
	for {
		free := d.room.full()
		if free == nil {
			return waited, nil
		}
		waited = true
		select {
		case <-free:
		case <-d.closed:
			return waited, net.ErrClosed
		case <-time.After(d.limit):
			if d.room.overfull() {
				d.tooLong()
			}
		}
	}
}
