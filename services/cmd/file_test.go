package cmd_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/orderflow/adapters/sqlite"
)

// oneFile returns the settings of a store and a broker in one new file.
func oneFile(t *testing.T) []string {
	url := "sqlite:" + filepath.Join(t.TempDir(), "orderflow.db")
	return []string{"--store=" + url, "--broker=" + url}
}

// withData returns orderflow with its default store and broker in the data folder.
func withData(t *testing.T, folder string, args ...string) (p *process, orders, notifications string) {
	t.Helper()
	orders, notifications = freeAddress(t), freeAddress(t)
	p = prepare("orderflow", append([]string{"--data=" + folder, "--order-addr=" + orders, "--notification-addr=" + notifications, "--log-format=json"}, args...)...)
	p.cmd.Env = append(clean(os.Environ()), "DATA_DIR=/nonexistent") // the flag wins
	return p, orders, notifications
}

// By default orderflow keeps its orders in a folder that it makes, and notifies of none
// again after a restart.
func TestDataFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "my data", "100%")
	p, orders, notifications := withData(t, folder)
	p.start(t)
	awaitReady(t, orders)
	id := place(t, orders)
	awaitSent(t, notifications, map[string]bool{id: true})
	p.stopWell(t, syscall.SIGINT)
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 || left[0].Name() != "orderflow.db" {
		t.Errorf("after the stop the folder has %v, error %v; want only orderflow.db", left, err)
	}

	again, orders, notifications := withData(t, folder)
	again.start(t)
	eventually(t, func() error {
		if want := filepath.Join(folder, "orderflow.db") + ", 1 order "; !strings.Contains(again.out.String(), want) {
			return fmt.Errorf("the welcome does not say %q", want)
		}
		if file := filepath.Join(folder, "orderflow.db"); !strings.Contains(again.out.String(), fmt.Sprintf("rm '%s' '%s'-*)", file, file)) {
			return fmt.Errorf("the welcome does not say how to remove %q", file)
		}
		return nil
	})
	other := place(t, orders)
	awaitSent(t, notifications, map[string]bool{id: true, other: true})
	var list struct{ Data []struct{ ID string } }
	if _, err := fetch("GET", "http://"+orders+"/orders", "", &list); err != nil || len(list.Data) != 2 || list.Data[1].ID != id {
		t.Errorf("the orders after a restart are %+v, error %v; want %s and %s", list.Data, err, other, id)
	}
	again.stopWell(t, syscall.SIGTERM)
	if lines := notificationLines(again.out.String()); lines[id] != 0 || lines[other] != 1 {
		t.Errorf("notified after the restart: %v, want only %s", lines, other)
	}
}

// After each kill -9 under the load of many clients, the account is even: each order
// that was answered is stored, and is notified once, or again in the one window.
func TestOrderflowKilled(t *testing.T) {
	t.Parallel()
	const prefetch, rounds = 100, 3
	folder := t.TempDir()
	p, orders, notifications := withData(t, folder, fmt.Sprint("--prefetch=", prefetch))
	args := p.cmd.Args[1:]
	p.start(t)
	awaitReady(t, orders)
	load := startLoad(t, orders, 64)
	var logs strings.Builder
	for range rounds {
		load.awaitMore(t, 500)
		p.stop(t, syscall.SIGKILL)
		logs.WriteString(p.out.String())
		p = prepareBinary(binaries, "orderflow", args...)
		p.cmd.Env = clean(os.Environ())
		p.start(t)
	}
	load.awaitMore(t, 500)
	placed := load.stop()
	for id := range placed {
		if status, err := fetch("GET", "http://"+orders+"/orders/"+id, "", nil); err != nil || status != http.StatusOK {
			t.Fatalf("order %s was answered with 201 and is lost: %d, %v", id, status, err)
		}
	}
	awaitSent(t, notifications, placed)
	p.stopWell(t, syscall.SIGTERM)
	logs.WriteString(p.out.String())
	lines, repeated := notificationLines(logs.String()), 0
	for id := range placed {
		switch n := lines[id]; {
		case n == 0:
			t.Errorf("order %s was not notified", id)
		case n > 1:
			repeated++
		}
	}
	if repeated > rounds*prefetch {
		t.Errorf("%d notifications were repeated, want %d at most after %d kills", repeated, rounds*prefetch, rounds)
	}
	t.Logf("%d orders placed, all notified; %d notifications repeated by %d kills", len(placed), repeated, rounds)
}

// Two processes of both services share the work on one file. The operators' commands work
// beside them.
func TestTwoOnOneFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	one, ordersOfOne, notificationsOfOne := withData(t, folder)
	two, ordersOfTwo, notificationsOfTwo := withData(t, folder)
	one.start(t)
	two.start(t)
	awaitReady(t, ordersOfOne)
	awaitReady(t, ordersOfTwo)
	all := make(map[string]bool)
	for _, address := range []string{ordersOfOne, ordersOfTwo} {
		for id := range placeOrders(t, address, 16, 200) {
			all[id] = true
		}
	}
	awaitSent(t, notificationsOfOne, all)
	awaitSent(t, notificationsOfTwo, all)

	for _, command := range [][]string{{"dead-letters", "list"}, {"channels", "list"}, {"notifications", "list", "--state=sent", "--limit=1"}, {"undelivered"}} {
		cmd := append(command, "--data="+folder, "--store=sqlite:"+filepath.Join(folder, "orderflow.db"), "--broker=sqlite:"+filepath.Join(folder, "orderflow.db"))
		if status, out, errs := run(t, nil, "orderflow", cmd...); status != 0 || strings.Contains(errs, "rror") {
			t.Errorf("%v: status %d: %s%s", command, status, out, errs)
		}
	}
	one.stopWell(t, syscall.SIGTERM)
	two.stopWell(t, syscall.SIGTERM)
	lines := notificationLines(one.out.String() + two.out.String())
	for id := range all {
		if lines[id] != 1 {
			t.Errorf("order %s was notified %d times", id, lines[id])
		}
	}
}

// A command does not make a file that no service has used.
func TestCommandsMakeNoFile(t *testing.T) {
	folder := t.TempDir()
	url := "sqlite:" + filepath.Join(folder, "orderflow.db")
	for _, command := range [][]string{{"channels", "list"}, {"dead-letters", "list"}, {"undelivered"}, {"forget", "123", "--yes"}, {"backup", filepath.Join(folder, "b.db")}} {
		status, out, errs := run(t, nil, "orderflow", append(command, "--store="+url, "--broker="+url)...)
		if status != 1 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "orderflow.db") {
			t.Errorf("%v: status %d: %s%s", command, status, out, errs)
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Fatalf("%v has made %v, error %v", command, left, err)
		}
	}

	store := "sqlite:" + filepath.Join(t.TempDir(), "store.db")
	s, err := sqlite.Open(t.Context(), store, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	status, out, errs := run(t, nil, "orderflow", "dead-letters", "list", "--store="+store, "--broker="+url)
	if left, err := os.ReadDir(folder); status != 1 || !strings.Contains(errs, "--broker (BROKER_URL)") || err != nil || len(left) > 0 {
		t.Errorf("dead letters of a mistyped broker: status %d: %s%s; made %v, error %v", status, out, errs, left, err)
	}
	if status, out, errs := run(t, nil, "orderflow", "channels", "list", "--store="+store, "--broker="+url); status != 0 {
		t.Errorf("channels, which need no broker: status %d: %s%s", status, out, errs)
	}
}
