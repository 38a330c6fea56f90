package operators

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/orderflow/services/account"
	"example.com/orderflow/services/cmd/internal/app"
)

type status struct{ output }

// statusView is the whole status as JSON shows it.
type statusView struct {
	app.Status
	Readiness []app.Readiness `json:"readiness"`
	Account   account.View    `json:"account"`
}

// Run prints what runs: version, readiness, account and settings. It asks the running
// service at its admin address.
func (o *status) Run(ctx context.Context, common *app.Common, streams app.Streams) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var v statusView
	if err := common.AskAdmin(ctx, "/status", &v.Status); err != nil {
		return err
	}
	if err := common.AskAdmin(ctx, "/account", &v.Account); err != nil {
		return err
	}
	for _, address := range v.Addresses {
		v.Readiness = append(v.Readiness, common.AskReadiness(ctx, address))
	}
	s := newSession(streams)
	if o.JSON {
		s.printJSON(v)
	} else {
		printStatus(s, v)
	}
	return s.flush()
}

func printStatus(s session, v statusView) {
	fmt.Fprintf(s.out, "%s %s, %s, running since %s (for %s), log level %s\n", app.Printable(v.Program), app.Printable(v.Version), app.Printable(v.Go), app.Printable(v.Started),
		time.Duration(v.UptimeSeconds)*time.Second, app.Printable(v.LogLevel))
	for _, r := range v.Readiness {
		var checks []string
		for _, name := range slices.Sorted(maps.Keys(r.Checks)) {
			checks = append(checks, name+" "+r.Checks[name])
		}
		fmt.Fprintf(s.out, "%s: %s", app.Printable(r.Address), app.Printable(r.Status))
		if len(checks) > 0 {
			fmt.Fprintf(s.out, " (%s)", app.Printable(strings.Join(checks, ", ")))
		}
		fmt.Fprintln(s.out)
	}
	fmt.Fprint(s.out, "\naccount: ")
	printAccount(s, v.Account)
	fmt.Fprintln(s.out)
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tSOURCE")
	defaults := 0
	for _, setting := range v.Settings {
		if setting.Source == "default" && setting.Name != "store" && setting.Name != "broker" {
			defaults++
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", app.Printable(setting.Name), cmp.Or(app.Printable(setting.Value), "(none)"), app.Printable(setting.Source))
	}
	_ = table.Flush() // flush reports errors
	fmt.Fprintf(s.out, "%s with their defaults; --print-config shows them\n", count(defaults, "other setting"))
}
