// Package ports says what the services need of the outside world: small
// interfaces, each with its contract on its methods, and the errors that carry
// meaning across them.
//
// Package porttest holds every contract as tests; an adapter that passes them
// can stand behind the services. Package mocks holds generated mocks, for
// answers that no adapter can be brought to give.
//
// Everywhere: a method may be called from several goroutines at once. Values go
// in and come out; nobody keeps a slice or pointer that the other side handed
// over. Every method ends soon after its context does, with an error that wraps
// the context's (Consume alone returns nil then: that is how it is stopped). A
// method whose context had ended before changes nothing. An error says what was
// attempted.
package ports
