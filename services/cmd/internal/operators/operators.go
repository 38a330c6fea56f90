// Package operators has the commands for operators: they look at what the services have
// stored, and change it. They open the store themselves, whether the service runs or not.
package operators

// Operations are the commands of an executable that notifies.
type Operations struct {
	DeadLetters   deadLetters          `cmd:"" help:"List, replay and discard messages that could not be handled."`
	Channels      channelCommands      `cmd:"" help:"List, pause and resume channels and their receivers."`
	Contacts      contactCommands      `cmd:"" help:"Import, export and change users' contacts."`
	Notifications notificationCommands `cmd:"" help:"List notifications and their attempts."`
	Undelivered   undelivered          `cmd:"" help:"List what has not reached its receiver, why, and when it is tried next."`
	Audit         audit                `cmd:"" help:"List every order that has not reached a recipient, and why; exit with status 0 only if there is none."`
	Actions       listActions          `cmd:"" help:"List what operators did, newest first: who, what, when, why, how many, and how it ended."`
	Preview       preview              `cmd:"" help:"Print what would be sent."`
	TestSend      testSend             `cmd:"" help:"Send a notification that is marked as a test."`
	Forget        forget               `cmd:"" help:"Remove a user from contacts, notifications and dead letters."`
}
