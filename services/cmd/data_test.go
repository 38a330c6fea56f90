package cmd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// placeAll places the orders and returns their ids.
func placeAll(t *testing.T, address string, count int) map[string]bool {
	t.Helper()
	placed := make(map[string]bool)
	for id := range placeOrders(t, address, 16, count) {
		placed[id] = true
	}
	return placed
}

// A backup that is made while orders are placed is complete, and orderflow starts with it.
func TestBackup(t *testing.T) {
	t.Parallel()
	folder, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	p, orders, _ := withData(t, folder)
	p.start(t)
	awaitReady(t, orders)
	before := placeAll(t, orders, 50)
	load := startLoad(t, orders, 8)
	load.awaitMore(t, 50)
	status, stdout, stderr := run(t, nil, "orderflow", "backup", "--data="+folder, "--store=sqlite:"+filepath.Join(folder, "orderflow.db"), backup)
	load.awaitMore(t, 50)
	load.stop()
	p.stopWell(t, syscall.SIGTERM)
	if status != 0 || !strings.Contains(stdout, backup+": ") || !strings.Contains(stdout, "--store sqlite:"+backup) {
		t.Fatalf("exit status %d, stdout %s, stderr %s", status, stdout, stderr)
	}
	if status, _, stderr := run(t, nil, "orderflow", "backup", "--store=sqlite:"+filepath.Join(folder, "orderflow.db"), backup); status != 1 ||
		!strings.Contains(stderr, "it exists already; give the path of a new file, or --force") {
		t.Errorf("a second backup: exit status %d, stderr %s", status, stderr)
	}

	again, orders, notifications := withData(t, folder, "--store=sqlite:"+backup, "--broker=sqlite:"+backup)
	again.start(t)
	awaitReady(t, orders)
	awaitSent(t, notifications, before)
	again.stopWell(t, syscall.SIGTERM)
}

// After a move, however often it was killed, the other store has everything, and the file
// is refused until the move is undone.
func TestMoveCommand(t *testing.T) {
	t.Parallel()
	folder, target := t.TempDir(), "sqlite:"+filepath.Join(t.TempDir(), "other.db")
	source := "sqlite:" + filepath.Join(folder, "orderflow.db")
	p, orders, notifications := withData(t, folder)
	p.start(t)
	awaitReady(t, orders)
	placed := placeAll(t, orders, 400)
	awaitSent(t, notifications, placed)
	if status, _, stderr := run(t, nil, "orderflow", "move", "--store="+source, "--to-store="+target); status != 1 ||
		strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "other processes have it open (1); stop the services that use it") {
		t.Errorf("beside the service: exit status %d, stderr %s", status, stderr)
	}
	p.stopWell(t, syscall.SIGTERM)

	for range 3 {
		move := prepareBinary(binaries, "orderflow", "move", "--store="+source, "--to-store="+target)
		move.start(t)
		eventually(t, func() error {
			_, err := os.Stat(strings.TrimPrefix(target, "sqlite:"))
			return err
		})
		_ = move.cmd.Process.Kill() // fails if the move has ended
		move.wait(t)
	}
	status, stdout, stderr := run(t, []string{"TO_STORE_URL=" + target}, "orderflow", "move", "--store="+source)
	if status != 0 || !strings.Contains(stdout, "Even: "+target+" has every record of ") {
		t.Fatalf("exit status %d, stdout %s, stderr %s", status, stdout, stderr)
	}

	refused, _, _ := withData(t, folder)
	refused.start(t)
	if status := refused.wait(t); status != 1 || !strings.Contains(refused.out.String(), "its data was moved to "+target) {
		t.Errorf("start on the file: exit status %d", status)
	}
	moved, orders, notifications := withData(t, folder, "--store="+target, "--broker="+target)
	moved.start(t)
	awaitReady(t, orders)
	awaitSent(t, notifications, placed)
	one := place(t, orders)
	awaitSent(t, notifications, map[string]bool{one: true})
	moved.stopWell(t, syscall.SIGTERM)
	if lines := notificationLines(moved.out.String()); len(lines) != 1 {
		t.Errorf("%d orders are notified after the move, want 1", len(lines))
	}

	if status, stdout, stderr := run(t, nil, "orderflow", "move", "--undo", "--store="+source); status != 0 || !strings.Contains(stdout, "can use ") {
		t.Errorf("undo: exit status %d, stdout %s, stderr %s", status, stdout, stderr)
	}
	back, orders, _ := withData(t, folder)
	back.start(t)
	awaitReady(t, orders)
	back.stopWell(t, syscall.SIGTERM)
}

func TestDataCommandsRefuse(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "orderflow.db")
	p, orders, _ := withData(t, folder)
	p.start(t)
	awaitReady(t, orders)
	p.stopWell(t, syscall.SIGTERM)
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"backup", "--store=memory:", "b"}, 2, `--store (STORE_URL): "memory:" keeps no file`},
		{[]string{"backup", "--store=sqlite:" + folder + "/none.db", "b"}, 1, "no such file or directory; name the file with --store"},
		{[]string{"move", "--store=sqlite:" + file}, 2, "--to-store: give the URL of the other store"},
		{[]string{"move", "--store=sqlite:" + file, "--to-store=sqlite://" + file}, 2, "is the file itself"},
		{[]string{"move", "--store=sqlite:" + file, "--to-store=memory:"}, 1, "a store in memory keeps nothing"},
		{[]string{"move", "--store=sqlite:" + file, "--to-store=amqp://u:secret@h/"}, 1, `no store has the scheme "amqp"`},
		{[]string{"move", "--store=sqlite:" + file, "--to-store=mongodb://u:secret@localhost:1/db?serverSelectionTimeoutMS=100"}, 1, "unavailable"},
		{[]string{"move", "--store=sqlite:" + file, "--undo"}, 1, "was not moved"},
		{[]string{"move", "--store=sqlite:" + file, "--undo", "--dry-run"}, 2, "--undo has no other flags"},
	} {
		t.Run(fmt.Sprint(tt.args[0], " ", tt.want), func(t *testing.T) {
			status, _, stderr := run(t, nil, "orderflow", tt.args...)
			if status != tt.status || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "secret") {
				t.Errorf("exit status %d, stderr %q, want %d and one line with %q", status, stderr, tt.status, tt.want)
			}
		})
	}
}
