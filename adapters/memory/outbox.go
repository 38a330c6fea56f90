package memory

import (
	"time"

	"example.com/orderflow/domain"
)

// unpublished is an event in the outbox.
type unpublished struct {
	event  domain.Event
	freeAt time.Time // when the claim ends
	claim  int       // the claim's number; among claims that end together, the lowest comes first
	index  int       // in the heap
}

// byFreeAt is a heap of events; its head is free first.
type byFreeAt []*unpublished

func (h byFreeAt) Len() int { return len(h) }

func (h byFreeAt) Less(i, j int) bool {
	if !h[i].freeAt.Equal(h[j].freeAt) {
		return h[i].freeAt.Before(h[j].freeAt)
	}
	return h[i].claim < h[j].claim
}

func (h byFreeAt) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *byFreeAt) Push(x any) {
	u := x.(*unpublished)
	u.index = len(*h)
	*h = append(*h, u)
}

func (h *byFreeAt) Pop() any {
	last := len(*h) - 1
	u := (*h)[last]
	(*h)[last] = nil // for the garbage collector
	*h = (*h)[:last]
	return u
}
