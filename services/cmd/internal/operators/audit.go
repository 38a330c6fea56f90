package operators

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/google/uuid"

	"example.com/orderflow/services/account"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/internal/httpapi"
	"example.com/orderflow/services/order"
)

// auditDelay is how old an order must be to be audited: a younger one is under way.
const auditDelay = 5 * time.Second

type audit struct {
	Orders string   `required:"" placeholder:"URL" help:"Public address of the order service, such as http://localhost:8080. If it asks for tokens, ORDERFLOW_TOKEN must have one with the scope orders:read:all."`
	Since  app.Days `default:"24h" help:"How old the oldest orders are, at most the retention."`
	output

	retention time.Duration
}

// Run lists every order that has not reached a recipient. It returns an error if there is
// one, or one that can't be read.
func (a *audit) Run(ctx context.Context, notifying *app.Notifying, common *app.Common, streams app.Streams) error {
	if err := app.CheckServer("--orders", a.Orders); err != nil {
		return app.UsageErrorf("%s", err)
	}
	if a.Since <= 0 || a.Since > notifying.Retention {
		return app.UsageErrorf("--since: %s is out of range; give more than 0 and at most the retention, %s: older records are deleted", a.Since, notifying.Retention)
	}
	a.retention = time.Duration(notifying.Retention)
	return withOffice(ctx, notifying, common, streams, func(*app.Store) account.Orders { return nil }, a.audit)
}

func (a *audit) audit(ctx context.Context, office *account.Office, s session) error {
	client := app.WithToken(&http.Client{Transport: new(http.Transport), Timeout: 30 * time.Second})
	defer client.CloseIdleConnections()
	if err := a.checkScope(ctx, client); err != nil {
		return err
	}
	now := time.Now()
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	counts := make(map[[2]string]int)
	last := now
	result, err := office.Audit(ctx, account.Audit{
		Walk: account.RemoteWalk(client, a.Orders), From: now.Add(-time.Duration(a.Since)), To: now.Add(-auditDelay),
		Orders:    s.store.Orders, // if this is their store
		Retention: a.retention,
		Progress: func(orders, notifications int) {
			if time.Since(last) >= time.Second {
				last = time.Now()
				fmt.Fprintf(s.err, "%d notifications and %d orders read\n", notifications, orders)
			}
		},
		Found: func(f account.Finding) error {
			if len(counts) == 0 && !a.JSON {
				fmt.Fprintln(table, "ORDER\tTAKEN\tCHANNEL\tRECIPIENT\tREASON\tWHERE")
			}
			counts[[2]string{f.Channel, f.Reason()}]++
			if a.JSON {
				s.printJSON(account.NewFindingView(f))
				return nil
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", f.OrderID, httpapi.FormatTime(f.CreatedAt), app.Printable(f.Channel),
				cmp.Or(app.Printable(f.Recipient), "-"), f.Reason(), oneLine(s.where(f.RecipientTrace)))
			return nil
		},
	})
	_ = table.Flush() // flush reports errors
	if err := cmp.Or(err, s.flush()); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "%s audited in %v; the last %v are left out, because those orders are under way\n", count(result.Orders, "order"), time.Since(now).Round(100*time.Millisecond), auditDelay)
	for _, key := range slices.SortedFunc(maps.Keys(counts), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }) {
		fmt.Fprintf(s.err, "%s %s: %d\n", app.Printable(key[0]), key[1], counts[key])
	}
	var faults []error
	if result.Findings > 0 {
		faults = append(faults, fmt.Errorf("%s not delivered", count(result.Findings, "notification")))
	}
	if result.Unreadable > 0 {
		faults = append(faults, fmt.Errorf("%s can't be read, and not be audited; the order service's log names them", count(result.Unreadable, "order")))
	}
	return errors.Join(faults...)
}

// checkScope returns an error if the token shows the orders of its own user alone: then the
// audit would miss the others without a word. A list of another user's orders is refused then.
func (a *audit) checkScope(ctx context.Context, client *http.Client) error {
	target := strings.TrimRight(a.Orders, "/") + "/orders?limit=1&user_id=audit-" + uuid.NewString()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil // the audit tries again
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusUnauthorized:
		return fmt.Errorf("the order service asks for a token: set ORDERFLOW_TOKEN to a valid one with the scope %s (%s)", order.ScopeReadAll, response.Header.Get("WWW-Authenticate"))
	case http.StatusForbidden:
		return fmt.Errorf("the token in ORDERFLOW_TOKEN does not show the orders of all users: set one with the scope %s", order.ScopeReadAll)
	}
	return nil
}
