package operators

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/deadletters"
)

func (s session) print(record ports.DeadLetterRecord) {
	v := deadletters.NewView(record)
	fmt.Fprintf(s.out, "%s\n  state         %s", app.Printable(v.ID), v.State)
	if v.SettledAt != "" {
		fmt.Fprintf(s.out, " at %s", v.SettledAt)
	}
	if v.SettledBy != "" {
		fmt.Fprintf(s.out, " by %s", oneLine(v.SettledBy))
	}
	fmt.Fprintln(s.out)
	if v.Subscription != "" {
		fmt.Fprintf(s.out, "  subscription  %q\n", v.Subscription)
	}
	fmt.Fprintf(s.out, "  message id    %q\n  content type  %q\n", v.MessageID, v.ContentType)
	for _, property := range []struct{ name, value string }{
		{"encoding", v.ContentEncoding}, {"correlation", v.CorrelationID}, {"reply to", v.ReplyTo},
		{"type", v.Type}, {"app id", v.AppID}, {"timestamp", v.Timestamp},
	} {
		if property.value != "" {
			fmt.Fprintf(s.out, "  %-13s %q\n", property.name, property.value)
		}
	}
	for _, f := range v.Failures {
		fmt.Fprintf(s.out, "  set aside     after %s, from %s to %s%s\n", count(f.Attempts, "attempt"), f.FirstFailure, f.LastFailure, indented(f.Reason))
	}
	for _, name := range slices.Sorted(maps.Keys(v.Headers)) {
		fmt.Fprintf(s.out, "  header        %q: %q\n", name, v.Headers[name])
	}
	const limit = 4 << 10 // bytes
	body := record.Message.Body
	shown := body[:min(len(body), limit)]
	text := hex.Dump(shown)
	if v.Body != nil {
		text = strings.ToValidUTF8(string(shown), "")
	}
	fmt.Fprintf(s.out, "  body          %d bytes%s\n", len(body), indented(text))
	if len(shown) < len(body) {
		fmt.Fprintln(s.out, "                … --json prints all of it")
	}
}

// indented returns the text's lines, indented to the column of values.
func indented(text string) string {
	const margin = "\n                "
	return margin + strings.ReplaceAll(strings.TrimRight(app.Printable(text), "\n"), "\n", margin)
}
