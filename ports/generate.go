package ports

//go:generate go run go.uber.org/mock/mockgen@v0.6.0 -destination mocks/mocks.go -package mocks . OrderRepository,Outbox,EventPublisher,EventConsumer,Channel,DeliveryLog,DeliveryClaim,DeadLetters,DeadLetterQueue,Pinger
