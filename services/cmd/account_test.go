package cmd_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ncruces/go-sqlite3"
)

// laterEvents matches the 100 events after the channel was added, and those that the killed
// process had not published.
var laterEvents = regexp.MustCompile(`email +user +[1-9][0-9]{2} `)

// The account is even while orders are placed, after the process was killed, and with a
// channel that was added later. It is uneven once an event has vanished.
func TestAccountCommand(t *testing.T) {
	t.Parallel()
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
	account(0, "EVEN", "  ?\n") // another process may consume

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

// An audit lists exactly the orders whose records were removed or changed on purpose.
func TestAuditCommand(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "orderflow.db")
	p, orders, notifications := withData(t, folder)
	p.start(t)
	awaitReady(t, orders)
	placed := placeAll(t, orders, 300)
	awaitSent(t, notifications, placed)
	conn, err := sqlite3.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	execute := func(sql string) {
		t.Helper()
		if err := conn.Exec("PRAGMA busy_timeout = 10000; " + sql); err != nil {
			t.Fatal(err)
		}
	}
	audit := func() (status int, found map[string]string, stderr string) {
		t.Helper()
		status, stdout, stderr := run(t, nil, "orderflow", "audit", "--store=sqlite:"+path, "--broker=sqlite:"+path, "--orders=http://"+orders)
		found = make(map[string]string)
		for _, line := range strings.Split(strings.TrimSpace(stdout), "\n")[1:] {
			fields := strings.Fields(line)
			found[fields[0]] = fields[4]
		}
		return status, found, stderr
	}
	execute("UPDATE orders SET created_at = created_at - 60000") // younger orders are not audited
	if status, found, stderr := audit(); status != 0 || len(found) > 0 || !strings.Contains(stderr, "300 orders audited") || !strings.Contains(stderr, "the last 5s are left out") {
		t.Errorf("exit status %d, found %v: %s", status, found, stderr)
	}
	want := make(map[string]string)
	for id := range placed {
		const of = " WHERE event_id = '%s-created'"
		switch len(want) {
		case 0, 1:
			want[id] = "missing"
			execute(fmt.Sprintf("DELETE FROM deliveries"+of, id))
		case 2, 3:
			want[id] = "dead"
			execute(fmt.Sprintf("UPDATE deliveries SET state = 'dead', since = at"+of, id))
		case 4, 5:
			want[id] = "held"
			execute(fmt.Sprintf("UPDATE deliveries SET state = 'held', since = at, next_try = at + 3600000, held_channel = 'log', held_receiver = ''"+of, id))
		case 6:
			want[id] = "retrying"
			execute(fmt.Sprintf("UPDATE deliveries SET state = 'retrying', since = at, next_try = at + 3600000"+of, id))
		}
	}
	const lost = "01a221f7-1e37-76a9-b041-60cd81b871bb" // its event has never reached the outbox
	want[lost] = "missing"
	execute("INSERT INTO orders (id, user_id, product, quantity, created_at) SELECT '" + lost + "', 'ann', 'Laptop', 1, max(created_at) FROM orders")
	status, found, stderr := audit()
	if diff := cmp.Diff(want, found); diff != "" || status != 1 || !strings.Contains(stderr, "8 notifications not delivered") {
		t.Errorf("exit status %d (-want +got):\n%s\n%s", status, diff, stderr)
	}
	if status, stdout, _ := run(t, nil, "orderflow", "why", lost, "--store=sqlite:"+path, "--broker=sqlite:"+path); status != 0 || !strings.Contains(stdout, "log: missing") {
		t.Errorf("why: exit status %d: %s", status, stdout)
	}
	for id, want := range map[string]string{lost: "published", "01a221f7": "is not an order's id", "01a221f7-1e37-76a9-b041-60cd81b87000": "not found"} {
		if status, stdout, stderr := run(t, nil, "order", "why", id, "--store=sqlite:"+path); (status == 0) != (id == lost) || !strings.Contains(stdout+stderr, want) {
			t.Errorf("order why %s: exit status %d: %s%s, want %s", id, status, stdout, stderr, want)
		}
	}
	p.stopWell(t, syscall.SIGTERM)
}
