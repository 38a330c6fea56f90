// Package domain says what an order is, what happens to it, and what its user
// is told: [Order], [Event], [Notification] and the rules they keep.
//
// It knows no database, broker, clock or wire form. Ids and times are handed
// in; values are plain and safe to copy.
package domain
