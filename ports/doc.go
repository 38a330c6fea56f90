// Package ports defines what the services need from the outside world: small
// interfaces, with the contract on each method, and the errors that both sides
// understand.
//
// Package porttest has every contract as tests. The services work with any
// adapter that passes them. Package mocks has generated mocks, for answers that a
// real adapter can't be made to give.
//
// These rules hold for every method:
//
//   - Several goroutines may call it at once.
//   - Neither side keeps a slice or pointer that the other side passed.
//   - It returns soon after its context ends, with an error that wraps the
//     context's error. Only Consume and Drain return nil then, since this is how
//     they are stopped.
//   - If its context has ended before the call, it changes nothing.
//   - Its errors say what was attempted.
package ports
