package ports

//go:generate go run go.uber.org/mock/mockgen@v0.6.0 -destination mocks/mocks.go -package mocks . OrderRepository,Outbox,EventPublisher,EventConsumer,EventQueue,Channel,AddressedChannel,DeliveryLog,DeliveryClaim,ChannelStates,Contacts,DeadLetters,DeadLetterQueue,OperatorActions,Pinger
