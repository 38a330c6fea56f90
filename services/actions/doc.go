// Package actions keeps what operators do: who did what to what, when, why, how many records
// that has changed, and how it ended.
//
// [Journal] writes each action before anything is done, and its end afterwards. [Handler]
// lists the actions over HTTP.
package actions
