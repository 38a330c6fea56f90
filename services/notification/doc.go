// Package notification is the notification service: it notifies users and operators of
// events, once per event, channel and recipient.
//
// A [Service] has a [Route] for each channel. [Service.Run] consumes each channel's own
// queue. A notification that its receiver refuses waits in the delivery log, and is tried
// again by the route's [Schedule]. One whose receiver can't be reached waits, too, and loses
// no attempt. A receiver that fails often is paused until a probe succeeds. [Control] has the operators' use
// cases. [Handler] is the public HTTP interface, and [AdminHandler] the operators'. A
// program gives all of them their adapters and runs them:
//
//	service, err := notification.NewService(notification.Parts{…}, notification.Route{Channel: channel, Queue: queue})
//	control, err := notification.NewControl(notification.Store{…}, channels, log)
//	handler, err := notification.NewHandler(control, store, queue, log)
//	admin, err := notification.NewAdminHandler(control, log)
//	go http.ListenAndServe(":8081", handler)
//	go http.ListenAndServe("localhost:9081", admin)
//	err = service.Run(ctx)
package notification
