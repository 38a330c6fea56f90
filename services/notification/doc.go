// Package notification is the notification service: it notifies users and operators of
// events, once per event, channel and recipient.
//
// A [Service] has a [Route] for each channel. [Service.Run] consumes each channel's own
// queue. What a receiver refuses, or can't be reached for, waits in the delivery log, and
// is tried again by the route's [Schedule]. A receiver that fails often is paused, until a
// probe finds that it works again. [Handler] is the HTTP interface. A program gives all of
// them their adapters and runs them:
//
//	service, err := notification.NewService(notification.Parts{…}, notification.Route{Channel: channel, Queue: queue})
//	handler, err := notification.NewHandler(service, store, queue, log)
//	go http.ListenAndServe(":8081", handler)
//	err = service.Run(ctx)
package notification
