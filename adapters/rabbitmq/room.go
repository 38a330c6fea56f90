package rabbitmq

import (
	"errors"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// maxHeld bounds the bytes of an intake's unacknowledged deliveries; the
	// prefetch bounds only their number. Our own events never reach it.
	maxHeld = 16 << 20

	// maxAhead is how many bytes a session reads at full speed before the intake
	// counts the deliveries in them.
	maxAhead = 4 << 20

	// large is the size from which a delivery is large.
	large = 1 << 20

	// maxPause bounds how long an intake without room keeps its connection. Unread
	// deliveries stay in the broker's memory. If that runs short, the broker takes no
	// messages, so failed deliveries can't be handed over to make room.
	maxPause = 30 * time.Second
)

var errNoRoom = errors.New("deliveries took too many bytes for too long; they are taken one by one")

// room counts the bytes of the unacknowledged deliveries, over all sessions. While
// there is no room for more, the sessions read nothing and the broker waits.
type room struct {
	mu     sync.Mutex
	held   int           // bytes
	stalls int           // callers that stop all reading
	large  int           // large deliveries
	seen   bool          // a large delivery came since the last call of onlySmall
	takes  int           // deliveries taken so far
	free   chan struct{} // closed when there is room again; nil: there is room
}

func (r *room) take(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takes++
	r.held += bytes
	if bytes >= large {
		r.large++
		r.seen = true
	}
	r.update()
}

func (r *room) give(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held -= bytes
	if bytes >= large {
		r.large--
	}
	r.update()
}

// stall adds a caller that stops all reading, or removes one with -1.
func (r *room) stall(callers int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stalls += callers
	r.update()
}

func (r *room) update() {
	full := r.held > maxHeld || r.stalls > 0
	switch {
	case full && r.free == nil:
		r.free = make(chan struct{})
	case !full && r.free != nil:
		close(r.free)
		r.free = nil
	}
}

// full returns a channel that is closed when there is room; nil: there is room.
func (r *room) full() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.free
}

func (r *room) bytes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// crowded reports whether the deliveries fill half of the room.
func (r *room) crowded() bool { return r.bytes() > maxHeld/2 }

// onlySmall reports whether no large delivery is unacknowledged or has come since the
// last call.
func (r *room) onlySmall() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.seen = false }()
	return r.large == 0 && !r.seen
}

// taken returns how many deliveries have been taken.
func (r *room) taken() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.takes
}

// size returns roughly how much memory a delivery takes. Headers become tables,
// which take a few times as much as their encoded form.
func size(d amqp.Delivery) int { return len(d.Body) + 4*encodedSize(d.Headers) }

// throttle lets a session read while its intake has room.
type throttle struct {
	room    *room
	closed  <-chan struct{}
	limit   time.Duration
	timeout func() // called when deliveries have left no room for limit

	takes int // deliveries taken at the last call of wait
	ahead int // bytes read since then
}

// wait waits for room. read is the number of bytes that the last read returned.
func (t *throttle) wait(read int) (waited bool, err error) {
	if takes := t.room.taken(); takes != t.takes {
		t.takes, t.ahead = takes, 0
	}
	t.ahead += read
	if t.ahead > maxAhead {
		time.Sleep(time.Duration(read) * time.Millisecond / large) // so that the intake can count the read deliveries
	}
	for {
		free := t.room.full()
		if free == nil {
			return waited, nil
		}
		waited = true
		select {
		case <-free:
		case <-t.closed:
			return waited, net.ErrClosed
		case <-time.After(t.limit):
			if t.room.bytes() > maxHeld {
				t.timeout()
			}
		}
	}
}
