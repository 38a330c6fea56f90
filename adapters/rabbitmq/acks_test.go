package rabbitmq

import (
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// channel is the broker's end of a channel. Like RabbitMQ, it refuses to settle a
// delivery that is not outstanding.
type channel struct {
	t           rapid.TB
	outstanding []uint64
	done        map[uint64]bool
	acks        int
}

func (c *channel) acknowledge(acks []acknowledgement) {
	for _, a := range acks {
		c.ack(a.tag, a.multiple)
	}
}

func (c *channel) ack(tag uint64, multiple bool) {
	c.acks++
	i, there := slices.BinarySearch(c.outstanding, tag)
	if !there {
		c.t.Fatalf("ack of %d, which is not outstanding", tag)
	}
	from := i
	if multiple {
		from = 0
	}
	for _, acked := range c.outstanding[from : i+1] {
		if !c.done[acked] {
			c.t.Fatalf("ack of %d (multiple: %v) acknowledges %d, which is pending", tag, multiple, acked)
		}
	}
	c.outstanding = slices.Delete(c.outstanding, from, i+1)
}

// In any order and any batches, each finished delivery is acknowledged immediately,
// and no pending one is.
func TestAcks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &channel{t: t, done: make(map[uint64]bool)}
		a := newAcks(c.acknowledge)
		count := rapid.IntRange(1, 60).Draw(t, "deliveries")
		for tag := range count {
			c.outstanding = append(c.outstanding, uint64(tag+1))
			a.take(uint64(tag + 1))
		}
		order := rapid.Permutation(slices.Clone(c.outstanding)).Draw(t, "order")
		for len(order) > 0 {
			n := rapid.IntRange(1, len(order)).Draw(t, "at once")
			for _, tag := range order[:n] {
				c.done[tag] = true
			}
			// As if the others finished while the first was being acknowledged.
			a.done = append(a.done, order[1:n]...)
			a.add(order[0])
			order = order[n:]
			if len(c.outstanding) != len(order) {
				t.Fatalf("%d deliveries are not acknowledged, %d are pending", len(c.outstanding), len(order))
			}
		}
		if len(a.pending) > 0 {
			t.Fatalf("%d deliveries are pending after all were acknowledged", len(a.pending))
		}
	})
}

func TestAdjacentAcksAreOne(t *testing.T) {
	c := &channel{t: t, done: make(map[uint64]bool)}
	a := newAcks(c.acknowledge)
	for tag := uint64(1); tag <= 100; tag++ {
		c.outstanding = append(c.outstanding, tag)
		c.done[tag] = true
		a.take(tag)
		if tag < 100 {
			a.done = append(a.done, tag)
		}
	}
	a.add(100)
	if c.acks != 1 || len(c.outstanding) > 0 {
		t.Errorf("%d acknowledgements left %d deliveries unacknowledged, want one and none", c.acks, len(c.outstanding))
	}
}

func TestConcurrentAcks(t *testing.T) {
	var mu sync.Mutex
	told := make(map[uint64]int)
	var lowest uint64 = 1
	a := newAcks(func(acks []acknowledgement) {
		mu.Lock()
		defer mu.Unlock()
		for _, ack := range acks {
			told[ack.tag]++
			if !ack.multiple {
				continue
			}
			for ; lowest < ack.tag; lowest++ {
				if told[lowest] == 0 {
					told[lowest]++
				}
			}
		}
	})
	const goroutines, each = 16, 100
	for tag := uint64(1); tag <= goroutines*each; tag++ {
		a.take(tag)
	}
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				a.add(uint64(g + i*goroutines + 1))
			}
		})
	}
	wg.Wait()
	for tag := uint64(1); tag <= goroutines*each; tag++ {
		if told[tag] != 1 {
			t.Fatalf("delivery %d was acknowledged %d times, want once", tag, told[tag])
		}
	}
}

// BenchmarkAcks reports how many deliveries one acknowledgement settles when 200
// finish at once, as after a write that has recorded all of them.
func BenchmarkAcks(b *testing.B) {
	const atOnce = 200
	words := 0
	a := newAcks(func(told []acknowledgement) { words += len(told) })
	first := uint64(1)
	for b.Loop() {
		for i := range uint64(atOnce) {
			a.take(first + i)
		}
		recorded := make(chan struct{})
		var handlers sync.WaitGroup
		for i := range uint64(atOnce) {
			handlers.Go(func() {
				<-recorded
				a.add(first + i)
			})
		}
		close(recorded)
		handlers.Wait()
		first += atOnce
	}
	b.ReportMetric(float64(first-1)/float64(words), "deliveries/ack")
}
