// Package order is the order service: it takes orders over HTTP, stores them, and
// publishes the event of each to the broker.
//
// [Service] holds the use cases, [Handler] is their HTTP interface, [Relay]
// publishes the outbox's events. A program gives them their adapters and runs
// them:
//
//	relay, err := order.NewRelay(orders, publisher, log)
//	service, err := order.NewService(orders, relay, log)
//	handler, err := order.NewHandler(service, orders, publisher, log)
//	go relay.Run(ctx)
//	http.ListenAndServe(":8080", handler)
package order
