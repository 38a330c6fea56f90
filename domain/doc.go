// Package domain defines orders, their events and their notifications: [Order],
// [Event], [Notification], and the rules they keep.
//
// The package does no I/O and reads no clock: callers pass ids and times. All
// values are plain and safe to copy.
package domain
