// Package notification is the notification service: it tells users of events,
// once per event and channel.
//
// [Service.Handle] is a [ports.Handler]; [Handler] answers over HTTP what was
// sent. A program gives them their adapters and runs them:
//
//	service := notification.NewService(deliveries, log, channel)
//	go http.ListenAndServe(":8081", notification.NewHandler(service, store, consumer, log))
//	err := consumer.Consume(ctx, service.Handle)
package notification
