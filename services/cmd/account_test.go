package cmd_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/ncruces/go-sqlite3"
)

// laterEvents matches the 100 events after the channel was added, and those that the killed
// process had not published.
var laterEvents = regexp.MustCompile(`email +user +[1-9][0-9]{2} `)

// The account is even while orders are placed, after the process was killed, and with a
// channel that was added later. It is uneven once an event has vanished.
func TestAccountCommand(t *testing.T) {
	folder := t.TempDir()
	url := "sqlite:" + filepath.Join(folder, "orderflow.db")
	account := func(want int, texts ...string) {
		t.Helper()
		status, stdout, stderr := run(t, []string{"SMTP_URL=smtp://127.0.0.1:1?from=shop@example.com"}, "orderflow", "account", "--store="+url, "--broker="+url)
		if status != want {
			t.Errorf("exit status %d, want %d: %s %s", status, want, stdout, stderr)
		}
		for _, text := range texts {
			if !strings.Contains(stdout, text) {
				t.Errorf("got %s, want %q", stdout, text)
			}
		}
	}
	p, orders, notifications := withData(t, folder)
	p.start(t)
	awaitReady(t, orders)
	awaitSent(t, notifications, placeAll(t, orders, 100))
	load := startLoad(t, orders, 8)
	load.awaitMore(t, 50)
	p.stop(t, syscall.SIGKILL)
	load.stop()

	p, orders, notifications = withData(t, folder, "--smtp=smtp://127.0.0.1:1?from=shop@example.com")
	p.start(t)
	awaitReady(t, orders)
	awaitSent(t, notifications, placeAll(t, orders, 100))
	eventually(t, func() error {
		status, stdout, stderr := run(t, []string{"SMTP_URL=smtp://127.0.0.1:1?from=shop@example.com"}, "orderflow", "account", "--store="+url, "--broker="+url)
		if status != 0 || !strings.Contains(stdout, "EVEN") || !laterEvents.MatchString(stdout) {
			return fmt.Errorf("exit status %d: %s%s", status, stdout, stderr)
		}
		return nil
	})
	p.stopWell(t, syscall.SIGTERM)
	account(0, "EVEN")

	conn, err := sqlite3.Open(filepath.Join(folder, "orderflow.db"))
	if err == nil {
		err = conn.Exec("INSERT INTO counters (name, n) VALUES ('orders', 0) ON CONFLICT DO UPDATE SET n = n + 1")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	account(1, "UNEVEN", " 1           uneven")
}
