package app

import (
	"log/slog"
	"net/http"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/account"
	"example.com/orderflow/services/actions"
	"example.com/orderflow/services/console"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/notification"
)

// Operators are the parts that a program which notifies has for its operators.
type Operators struct {
	Store    *Store
	Broker   *Broker
	Channels *Channels
	Control  *notification.Control

	Account  account.Orders                                     // of the orders; nil: not known
	Remote   bool                                               // another process keeps the orders
	Orders   account.OrderStore                                 // nil: not known
	Place    func(w http.ResponseWriter, r *http.Request) error // see [console.Parts]
	Handlers []ProgressWatcher                                  // that report whether something moves
}

// ProgressWatcher is a handler that reports whether something moves.
type ProgressWatcher interface{ WatchProgress(ports.Pinger) }

// OperatorParts are the components of [Operators].
type OperatorParts struct {
	Admin, Console, DeadLetters, Accounting Component

	URL string // of the console
}

// Operators returns the components for the operators.
func (c *Common) Operators(o Operators, log *slog.Logger) (parts OperatorParts, err error) {
	letters, err := deadletters.NewService(o.Store.DeadLetters, o.Broker.DeadLetters, o.Store.Actions, log)
	if err != nil {
		return parts, err
	}
	parts.DeadLetters = c.OnBroker("dead letters", letters.Run)
	office, err := c.OpenOffice(o.Store, o.Broker, o.Channels, o.Account, o.Remote)
	if err != nil {
		return parts, err
	}
	var watchdog *account.Watchdog
	if parts.Accounting, watchdog, err = c.Accounting(office, log, o.Handlers...); err != nil {
		return parts, err
	}
	page, err := console.New(console.Parts{
		Program: c.status.Program, Version: c.status.Version, Office: office, Control: o.Control, Letters: letters,
		Orders: o.Orders, Place: o.Place, Store: o.Store, Broker: o.Broker.Consumers, Progress: watchdog,
	}, log)
	if err != nil {
		return parts, err
	}
	parts.Console = Component{Name: "console", Run: page.Run}
	admin, err := notification.NewAdminHandler(o.Control, log)
	if err != nil {
		return parts, err
	}
	lettersHandler, err := deadletters.NewHandler(letters, log)
	if err != nil {
		return parts, err
	}
	accountHandler, err := account.NewHandler(office, log)
	if err != nil {
		return parts, err
	}
	actionsHandler, err := actions.NewHandler(o.Store.Actions, log)
	if err != nil {
		return parts, err
	}
	admin.RequestTimeout, lettersHandler.RequestTimeout, actionsHandler.RequestTimeout = c.RequestTimeout, c.RequestTimeout, c.RequestTimeout
	page.RequestTimeout = c.RequestTimeout
	parts.Admin, parts.URL, err = c.AdminServer(notification.OpenAPI, map[string]http.Handler{
		"/": admin, "/dead-letters": lettersHandler, "/dead-letters/": lettersHandler, "/account": accountHandler, "/actions": actionsHandler,
		"/{$}": page, "/console/": page,
	}, console.MaxStreams+pageConnections, log)
	return parts, err
}
