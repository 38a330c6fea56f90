package main

import (
	"bytes"
	"strings"
	"testing"

	"example.com/orderflow/services/cmd/internal/app"
)

// No command line prints the password of a URL, wherever the URL stands.
func TestNoPasswordIsPrinted(t *testing.T) {
	urls := []string{"mongodb://user:hunter2@host/db", "amqp://u:p@hunter2@h", "amqp://u:p/hunter2@h", "amqp://u:p:hunter2@h", "mongodb://u:p hunter2@h",
		"u:hunter2@h", "mongodb://u:p\x01hunter2@h", "mongodb://u:p\xffhunter2@h", "http://u:hunter2@h:x"}
	for _, url := range urls {
		for _, args := range [][]string{{url}, {"list", url}, {"list", "--limit=" + url}, {"list", "--state=" + url}, {"list", "--json=" + url},
			{"list", "--order=" + url}, {"replay", "--order=" + url}} {
			checkNoPassword(t, append([]string{"dead-letters"}, args...))
		}
		for _, args := range [][]string{{"undelivered", url}, {"undelivered", "--state=" + url}, {"undelivered", "--from=" + url}, {"notifications", "list", "--order=" + url},
			{"notifications", "list", "--limit=" + url}, {"preview", "--channel=" + url}, {"preview", "--order=" + url}, {"test-send", "--channel=" + url}, {"channels", url}, {"channels", "list", url},
			{"preview", "--channel=" + strings.Repeat("x", 30) + url}, {"preview", "--channels=" + url}, {"contacts", "get"}, {"preview", "--smtp=" + url}} {
			checkNoPassword(t, args)
		}
	}
}

func checkNoPassword(t *testing.T, args []string) {
	t.Helper()
	var out, errs bytes.Buffer
	status := app.Exec(t.Context(), program, new(settings), args, app.Streams{Out: &out, Err: &errs})
	if status == 0 || strings.Contains(out.String()+errs.String(), "hunter2") {
		t.Errorf("%q: status %d: %s%s", args, status, out.String(), errs.String())
	}
}

// The help of a command shows its own flags before the service's settings.
func TestHelpBeginsWithTheCommandsFlags(t *testing.T) {
	var out bytes.Buffer
	app.Exec(t.Context(), program, new(settings), []string{"channels", "pause", "--help"}, app.Streams{Out: &out, Err: &out})
	own, others := strings.Index(out.String(), "--receiver=NAME"), strings.Index(out.String(), "--addr=")
	if own < 0 || others < own {
		t.Errorf("got:\n%s", &out)
	}
}
