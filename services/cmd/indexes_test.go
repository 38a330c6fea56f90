package cmd_test

import (
	"strings"
	"syscall"
	"testing"
)

// Indexes may be built before the start, which then builds none.
func TestIndexes(t *testing.T) {
	t.Parallel()
	settings := servers(t)
	store := settings[0]

	order := start(t, "order", append(settings, "--addr=localhost:0", "--no-auto-index")...)
	awaitLine(t, order, `"missing":"orders.newest_first`)
	order.stopWell(t, syscall.SIGTERM)

	for _, want := range []string{"20 indexes were built, 0 existed", "0 indexes were built, 20 existed"} {
		status, stdout, stderr := run(t, nil, "notification", "indexes", store)
		if status != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("exit status %d, %q, %q, want %q", status, stdout, stderr, want)
		}
	}
	order = prepare("order", append(settings, "--addr=localhost:0")...)
	order.cmd.Env = append(order.cmd.Env, "AUTO_INDEX=false")
	order.start(t)
	awaitLine(t, order, `"listening"`)
	order.stopWell(t, syscall.SIGTERM)
	if strings.Contains(order.out.String(), "missing") {
		t.Errorf("with all indexes, the start says that some are missing:\n%s", order.out.String())
	}

	status, stdout, stderr := run(t, nil, "orderflow", "indexes", "--store=sqlite:orderflow.db")
	if status != 0 || !strings.Contains(stdout, "nothing to do") || stderr != "" {
		t.Errorf("a file: exit status %d, %q, %q", status, stdout, stderr)
	}
	status, _, stderr = run(t, nil, "order", "indexes", "--store=mongodb://u:hunter2@localhost:1/orders?timeoutMS=500")
	if status != 1 || !strings.Contains(stderr, "--store (STORE_URL)") || strings.Contains(stderr, "hunter2") {
		t.Errorf("no server: exit status %d, %q", status, stderr)
	}
}
