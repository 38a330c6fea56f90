// Package access decides who may do what at the address for operators.
//
// A [Guard] in front of its handler finds out who sends a request: by a token of the
// file of tokens ([ParseTokens]), by a session that began with one, or by the header of
// a trusted proxy. Viewers may see, operators may also act. Handlers ask [CallerOf].
package access
