package app

import (
	"log/slog"
	"net/http"

	"example.com/orderflow/services/account"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/notification"
)

// OperatorsServer returns the admin server of a program that notifies.
func (c *Common) OperatorsServer(
	control *notification.Control, letters *deadletters.Service, office *account.Office, log *slog.Logger,
) (Component, error) {
	admin, err := notification.NewAdminHandler(control, log)
	if err != nil {
		return Component{}, err
	}
	lettersHandler, err := deadletters.NewHandler(letters, log)
	if err != nil {
		return Component{}, err
	}
	accountHandler, err := account.NewHandler(office, log)
	if err != nil {
		return Component{}, err
	}
	admin.RequestTimeout, lettersHandler.RequestTimeout = c.RequestTimeout, c.RequestTimeout
	return c.AdminServer(notification.OpenAPI, map[string]http.Handler{"/": admin, "/dead-letters": lettersHandler, "/dead-letters/": lettersHandler, "/account": accountHandler}, log)
}
