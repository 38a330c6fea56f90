package main

import (
	"crypto/rand"
	"fmt"
	"time"
)

// newID returns an order id like those of ours, a UUID of version 7: all ways
// have ids that grow with time, which stores like best.
func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	now := time.Now().UnixMilli()
	for i := range 6 {
		id[i] = byte(now >> (40 - 8*i))
	}
	id[6] = 7<<4 | id[6]&0x0f
	id[8] = 0b10<<6 | id[8]&0x3f
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
