package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"example.com/orderflow/ports"
	"example.com/orderflow/services/cmd/internal/app"
	"example.com/orderflow/services/deadletters"
	"example.com/orderflow/services/internal/httpapi"
)

// mostShown is how much of a body is written for people; JSON has all of it.
const mostShown = 4 << 10 // bytes

// checkedWriter keeps the first error in writing, for who writes line by line
// to ask for now and then.
type checkedWriter struct {
	io.Writer
	err error
}

func (w *checkedWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.Writer.Write(p)
	if err != nil {
		w.err = fmt.Errorf("write the output: %w", err)
	}
	return n, err
}

func (d desk) writeJSON(value any) {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value)                                // our own types always encode
	_, _ = d.Out.Write(httpapi.EscapeControls(line.Bytes())) // what Out has to say, it keeps
}

func (d desk) print(letter ports.DeadLetterRecord) {
	v := deadletters.NewView(letter)
	fmt.Fprintf(d.Out, "%s\n  state         %s", app.Printable(v.ID), v.State)
	if v.SettledAt != "" {
		fmt.Fprintf(d.Out, " at %s", v.SettledAt)
	}
	if v.SettledBy != "" {
		fmt.Fprintf(d.Out, " by %s", oneLine(v.SettledBy))
	}
	fmt.Fprintf(d.Out, "\n  message id    %q\n  content type  %q\n", v.MessageID, v.ContentType)
	for _, property := range []struct{ name, value string }{
		{"encoding", v.ContentEncoding}, {"correlation", v.CorrelationID}, {"reply to", v.ReplyTo},
		{"type", v.Type}, {"app id", v.AppID}, {"timestamp", v.Timestamp},
	} {
		if property.value != "" {
			fmt.Fprintf(d.Out, "  %-13s %q\n", property.name, property.value)
		}
	}
	for _, f := range v.Failures {
		fmt.Fprintf(d.Out, "  set aside     after %d attempts, from %s to %s%s\n", f.Attempts, f.FirstFailure, f.LastFailure, indented(f.Reason))
	}
	for _, name := range slices.Sorted(maps.Keys(v.Headers)) {
		fmt.Fprintf(d.Out, "  header        %q: %q\n", name, v.Headers[name])
	}
	body := letter.Message.Body[:min(len(letter.Message.Body), mostShown)]
	text := hex.Dump(body)
	if v.Body != nil {
		text = strings.ToValidUTF8(string(body), "")
	}
	fmt.Fprintf(d.Out, "  body          %d bytes%s\n", len(letter.Message.Body), indented(text))
	if len(body) < len(letter.Message.Body) {
		fmt.Fprintln(d.Out, "                … --json has all of it")
	}
}

// indented returns the text's lines, each below the column of values.
func indented(text string) string {
	const margin = "\n                "
	return margin + strings.ReplaceAll(strings.TrimRight(app.Printable(text), "\n"), "\n", margin)
}

// oneLine returns the beginning of the text, for a table.
func oneLine(text string) string {
	const longest = 100 // characters
	line, _, more := strings.Cut(text, "\n")
	runes := []rune(strings.ReplaceAll(app.Printable(line), "\t", " "))
	if len(runes) > longest {
		runes, more = runes[:longest], true
	}
	if more {
		return string(runes) + "…"
	}
	return string(runes)
}

// tellUnreadable says how many records a list has left out.
func (d desk) tellUnreadable(records int) {
	switch {
	case records == 1:
		fmt.Fprintln(d.Err, "1 letter can't be read and is left out; the service's log names it")
	case records > 1:
		fmt.Fprintf(d.Err, "%d letters can't be read and are left out; the service's log names them\n", records)
	}
}

func letters(count int) string {
	if count == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", count)
}
