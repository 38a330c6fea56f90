// Package notification is the notification service: it notifies users of events,
// once per event and channel.
//
// [Service.Handle] is a [ports.Handler]. [Handler] is the HTTP interface, which
// lists the notifications. A program gives both their adapters and runs them:
//
//	service, err := notification.NewService(deliveries, log, channel)
//	handler, err := notification.NewHandler(service, store, consumer, log)
//	go http.ListenAndServe(":8081", handler)
//	err = consumer.Consume(ctx, service.Handle)
package notification
