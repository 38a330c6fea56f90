package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"example.com/orderflow/adapters/rabbitmq"
)

// checkPolicies logs which policies of the broker would lose events, once for
// each broker that is opened. It ends nothing.
func (c *Common) checkPolicies(ctx context.Context, broker *Broker, log *slog.Logger) {
	if c.BrokerManagement == "" || broker.Policies == nil {
		return
	}
	broker.checkedPolicies.Do(func() {
		switch err := broker.Policies(ctx); {
		case err == nil, ctx.Err() != nil:
		case errors.As(err, new(*rabbitmq.PolicyError)):
			log.Error("policies of the broker lose events", "error", err)
		default:
			log.Warn("the broker's policies could not be checked", "error", managementError(c.BrokerManagement, err))
		}
	})
}

// checkManagement refuses a wrong address of the management API.
func (c *Common) checkManagement() error {
	if c.BrokerManagement == "" {
		return nil
	}
	if err := rabbitmq.CheckManagementURL(c.BrokerManagement); err != nil {
		return managementError(c.BrokerManagement, err)
	}
	if scheme, err := scheme(c.Broker); err == nil && scheme == "memory" {
		return managementError(c.BrokerManagement, errors.New("the broker in memory has no policies; leave it empty"))
	}
	return nil
}

func managementError(url string, err error) error {
	return fmt.Errorf("--broker-management: %q: %w", shown(url), err)
}
