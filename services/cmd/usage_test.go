package cmd_test

import (
	"errors"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestHelp(t *testing.T) {
	for _, name := range []string{"order", "notification", "orderflow"} {
		t.Run(name, func(t *testing.T) {
			status, got, _ := run(t, []string{"COLUMNS=100"}, name, "--help")
			if status != 0 {
				t.Errorf("exit status %d", status)
			}
			path := filepath.Join("../../testdata/help", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("help (-want +got; -update rewrites the golden file):\n%s", diff)
			}
		})
	}
}

// A wrong setting ends the start with one line. It names the setting and the way out,
// and hides passwords.
func TestWrongSettings(t *testing.T) {
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })

	file, notFolder, damaged := filepath.Join(t.TempDir(), "shared.db"), filepath.Join(t.TempDir(), "file"), t.TempDir()
	dangling, folders := filepath.Join(t.TempDir(), "link"), t.TempDir()
	if err := errors.Join(os.Symlink("nowhere", dangling), os.Mkdir(filepath.Join(folders, "orderflow.db"), 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{notFolder, filepath.Join(damaged, "orderflow.db")} {
		if err := os.WriteFile(path, []byte("this is neither a folder nor a database"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	tests := []struct {
		name   string
		binary string
		args   []string
		env    []string
		status int
		want   []string
	}{
		{"unknown flag", "order", []string{"--adr=:1"}, nil, 2, []string{"--adr", "order --help"}},
		{"unknown command", "order", []string{"serve"}, nil, 2, []string{"serve", "order --help"}},
		{"log level", "order", []string{"--log-level=loud"}, nil, 2, []string{"--log-level (LOG_LEVEL)", "debug", "loud"}},
		{"log level by variable", "order", nil, []string{"LOG_LEVEL=loud"}, 2, []string{"--log-level (LOG_LEVEL)", "debug", "loud"}},
		{"log format", "orderflow", nil, []string{"LOG_FORMAT=xml"}, 2, []string{"--log-format (LOG_FORMAT)", "json", "xml"}},
		{"invalid duration", "notification", []string{"--start-timeout=soon"}, nil, 2, []string{"--start-timeout (START_TIMEOUT)", "soon", "duration"}},
		{"negative duration", "order", nil, []string{"SHUTDOWN_TIMEOUT=-1s"}, 2, []string{"--shutdown-timeout (SHUTDOWN_TIMEOUT)", "-1s", "such as 30s"}},
		{"store without scheme", "order", []string{"--store=localhost"}, nil, 1, []string{"--store (STORE_URL)", "mongodb://"}},
		{"store of another kind", "order", []string{"--store=postgres://u:hunter2@h/d"}, nil, 1, []string{"--store (STORE_URL)", `"postgres"`, "mongodb:"}},
		{"store without database", "order", []string{"--store=mongodb://u:hunter2@localhost:27017"}, nil, 1, []string{"--store (STORE_URL)", "database"}},
		{"store with an invalid URL", "order", []string{"--store=mongodb://u:hunter2@loc alhost:x/orders"}, nil, 1, []string{"--store (STORE_URL)"}},
		{"broker of another kind", "order", nil, []string{"BROKER_URL=kafka://u:hunter2@h"}, 1, []string{"--broker (BROKER_URL)", `"kafka"`, "amqp:"}},
		{"broker with an invalid URL", "order", nil, []string{"BROKER_URL=amqp://u:hunter2@h:port/"}, 1, []string{"--broker (BROKER_URL)"}},
		{"broker in memory, order", "order", []string{"--broker=memory:", "--store=memory:"}, nil, 1, []string{"--broker (BROKER_URL)", "one process", "orderflow"}},
		{"broker in memory, notification", "notification", []string{"--broker=memory:"}, nil, 1, []string{"--broker (BROKER_URL)", "one process", "orderflow"}},
		{"file with other options as broker", "orderflow", []string{"--store=sqlite:" + file + "?cache_size=-1000", "--broker=sqlite:" + file}, nil, 1, []string{"--store (STORE_URL)", "same options", "cache_size=-1000"}},
		{"folder of the data is a file", "orderflow", []string{"--data=" + notFolder, "--store=sqlite:" + file}, []string{"BROKER_URL=sqlite:DATA/orderflow.db"}, 1, []string{"--data (DATA_DIR): " + strconv.Quote(notFolder), "is a file; name a folder"}},
		{"folder of the data is in a file", "orderflow", []string{"--data=" + filepath.Join(notFolder, "data"), "--store=sqlite:" + file}, []string{"BROKER_URL=sqlite:DATA/orderflow.db"}, 1, []string{"--data (DATA_DIR)", notFolder + " is a file; name a folder"}},
		{"folder of the data is a dangling link", "orderflow", []string{"--data=" + dangling, "--store=sqlite:" + file}, []string{"BROKER_URL=sqlite:DATA/orderflow.db"}, 1, []string{"--data (DATA_DIR): " + strconv.Quote(dangling), "is a link to nowhere, which does not exist; make that folder"}},
		{"file of the data is a folder", "orderflow", []string{"--data=" + folders, "--store=sqlite:DATA/orderflow.db"}, []string{"BROKER_URL=sqlite:DATA/orderflow.db"}, 1, []string{"--data (DATA_DIR): " + strconv.Quote(folders) + ": open store: " + filepath.Join(folders, "orderflow.db") + ": it is a folder"}},
		{"damaged file in the folder of the data", "orderflow", []string{"--data=" + damaged, "--store=sqlite:DATA/orderflow.db"}, []string{"BROKER_URL=sqlite:DATA/orderflow.db"}, 1, []string{"--data (DATA_DIR)", damaged, "no SQLite database"}},
		{"half in memory", "orderflow", []string{"--data=" + damaged, "--broker=sqlite:DATA/orderflow.db"}, nil, 2, []string{"--store", "--broker", "memory: for both"}},
		{"address taken", "orderflow", []string{"--order-addr=" + taken.Addr().String(), "--notification-addr=localhost:0", "--admin-addr=localhost:0"}, nil, 1, []string{"--order-addr (ORDER_ADDR)", taken.Addr().String(), "in use", "HOST:PORT"}},
		{"empty store", "order", nil, []string{"STORE_URL="}, 1, []string{"--store (STORE_URL)", "empty", "default"}},
		{"slash in the password", "order", []string{"--store=memory:", "--broker=amqp://u:12/hunter2@localhost/"}, nil, 1, []string{"--broker (BROKER_URL)", "percent-encoded"}},
		{"hash in the password", "order", []string{"--store=memory:", "--broker=amqp://u:p@ss#hunter2@localhost/"}, nil, 1, []string{"--broker (BROKER_URL)", "percent-encoded"}},
		{"slash in the store's password", "order", []string{"--store=mongodb://u:12/hunter2@localhost/d", "--start-timeout=1s"}, nil, 1, []string{"--store (STORE_URL)"}},
		{"hash in the store's password", "order", []string{"--store=mongodb://u:p@ss#hunter2@localhost/d", "--start-timeout=1s"}, nil, 1, []string{"--store (STORE_URL)"}},
		{"address without port", "order", []string{"--addr=localhost", "--store=mongodb://localhost:1/orders"}, nil, 2, []string{"--addr (ADDR)", `"localhost"`, "HOST:PORT"}},
		{"admin address taken", "orderflow", nil, []string{"ADMIN_ADDR=" + taken.Addr().String(), "ORDER_ADDR=localhost:0", "NOTIFICATION_ADDR=localhost:0"}, 1, []string{"--admin-addr (ADMIN_ADDR)", taken.Addr().String(), "in use", "HOST:PORT"}},
		{"no rate", "order", []string{"--rate-limit=fast"}, nil, 2, []string{"--rate-limit (RATE_LIMIT)", `"fast"`, "600/min"}},
		{"rate of an unknown unit", "orderflow", nil, []string{"RATE_LIMIT=10/day"}, 2, []string{"--rate-limit (RATE_LIMIT)", `"10/day"`, "10/s"}},
		{"rate of nothing", "order", []string{"--rate-limit=0/s"}, nil, 2, []string{"--rate-limit", "out of range", "no limit"}},
		{"huge rate", "order", []string{"--rate-limit=1000001/h"}, nil, 2, []string{"--rate-limit", "out of range", "1000000"}},
		{"clients without a rate", "order", []string{"--rate-limit-by=authorization"}, nil, 2, []string{"--rate-limit-by", "--rate-limit"}},
		{"no orders in flight", "order", nil, []string{"MAX_IN_FLIGHT=0"}, 2, []string{"--max-in-flight (MAX_IN_FLIGHT)", "0 is out of range", "4096"}},
		{"invalid admin address", "order", []string{"--admin-addr=9080"}, nil, 2, []string{"--admin-addr (ADMIN_ADDR)", `"9080"`, "HOST:PORT"}},
		{"no selection of dead letters", "notification", []string{"dead-letters", "replay"}, nil, 2, []string{"ids", "--reason=TEXT", "--all"}},
		{"two selections of dead letters", "notification", []string{"dead-letters", "discard", "x", "--all"}, nil, 2, []string{"ids", "--reason=TEXT", "--all"}},
		{"two filters and ids", "notification", []string{"dead-letters", "discard", "x", "--user=ann", "--channel=email"}, nil, 2, []string{"ids", "--all"}},
		{"empty filter of dead letters", "notification", []string{"dead-letters", "groups", "--user="}, nil, 2, []string{"--user", "empty"}},
		{"wrong time of dead letters", "notification", []string{"dead-letters", "list", "--since=yesterday"}, nil, 2, []string{"--since", "2026-11-23T10:00:00Z"}},
		{"unknown action", "notification", []string{"actions", "--action=sing"}, nil, 2, []string{"--action", "replay, discard"}},
		{"empty author of actions", "orderflow", []string{"actions", "--by="}, nil, 2, []string{"--by", "empty"}},
		{"actions in memory", "notification", []string{"actions", "--store=memory:"}, nil, 1, []string{"--store (STORE_URL)", "--admin-addr"}},
		{"unknown state", "notification", []string{"dead-letters", "list", "--state=gone"}, nil, 2, []string{"--state", `"gone"`, "waiting, replayed, discarded or all"}},
		{"dead letters in memory", "notification", []string{"dead-letters", "list", "--store=memory:"}, nil, 1, []string{"--store (STORE_URL)", "--admin-addr"}},
		{"dead letters without a store", "notification", []string{"dead-letters", "list", "--store=mongodb://u:hunter2@localhost:1/d", "--start-timeout=1s"}, nil, 1, []string{"--store (STORE_URL)", "did not answer"}},
		{"mail server without a sender", "notification", nil, []string{"SMTP_URL=smtp://u:hunter2@h/"}, 1, []string{"--smtp (SMTP_URL)", "option from is missing"}},
		{"mail server by http", "notification", nil, []string{"SMTP_URL=http://u:hunter2@h/"}, 1, []string{"must begin with smtp:// or smtps://, as in smtp://user:password@host:587/?from=shop@example.com"}},
		{"wrong unsubscribe link", "orderflow", nil, []string{"SMTP_URL=smtp://h/?list_unsubscribe=hunter2"}, 1, []string{"like https://example.com/unsubscribe or mailto:unsubscribe@example.com"}},
		{"alerts by fax", "notification", nil, []string{"ALERTS=fax:hunter2"}, 1, []string{"--alerts (ALERTS)", "such as mailto:ops@example.com, nor"}},
		{"broker without scheme", "notification", nil, []string{"BROKER_URL=password=hunter2"}, 1, []string{"--broker (BROKER_URL)", "such as amqp://guest:guest@localhost:5672/"}},
		{"webhook without a secret", "orderflow", []string{"--webhook=https://example.com/"}, nil, 1, []string{"--webhook-secret-file (WEBHOOK_SECRET_FILE)", "WEBHOOK_SECRET"}},
		{"no channels file", "notification", nil, []string{"CHANNELS_FILE=none.yaml"}, 1, []string{"--channels (CHANNELS_FILE)", "none.yaml", "no such file"}},
		{"retention", "notification", []string{"--retention=soon"}, nil, 2, []string{"--retention (RETENTION)", "soon", "90d"}},
		{"rate of an unknown channel", "notification", []string{"--rate=sms=1"}, nil, 1, []string{"--rate (RATE)", "sms", "log"}},
		{"commands on a store in memory", "notification", []string{"channels", "list", "--store=memory:"}, nil, 1, []string{"--store (STORE_URL)", "--admin-addr"}},
		{"empty filter of notifications", "notification", []string{"undelivered", "--order="}, nil, 2, []string{"--order", "leave the flag out"}},
		{"test without an address", "notification", []string{"test-send"}, []string{"SMTP_URL=smtp://h/?from=a@example.com"}, 2, []string{"--to"}},
		{"preview of an unknown channel", "notification", []string{"preview"}, nil, 2, []string{"--channel", "log"}},
		{"import of no file", "notification", []string{"contacts", "import", "none.csv"}, nil, 1, []string{"none.csv", "no such file"}},
		{"invalid address", "orderflow", nil, []string{"NOTIFICATION_ADDR=8081"}, 2, []string{"--notification-addr (NOTIFICATION_ADDR)", `"8081"`, "HOST:PORT"}},
		{"unavailable store", "order", []string{"--store=mongodb://u:hunter2@localhost:1/orders", "--start-timeout=1s"}, nil, 1, []string{"--store (STORE_URL)", "localhost:1", "1s"}},
		{"broker that does not answer the login", "notification", []string{"--store=memory:", "--addr=localhost:0", "--admin-addr=localhost:0", "--start-timeout=2s"}, []string{"BROKER_URL=amqp://u:hunter2@" + taken.Addr().String()}, 1, []string{"--broker (BROKER_URL)", "within 2s", "login"}},
		{"unavailable broker, notification", "notification", []string{"--store=memory:", "--broker=amqp://u:hunter2@localhost:1/", "--start-timeout=1s"}, nil, 1, []string{"--broker (BROKER_URL)", "localhost:1", "1s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := run(t, tt.env, tt.binary, tt.args...)
			if status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, tt.binary+": ") {
				t.Errorf("not one line that begins with %s: %q", tt.binary, stderr)
			}
			for _, part := range tt.want {
				if !strings.Contains(stderr, part) {
					t.Errorf("%q does not say %q", stderr, part)
				}
			}
			if strings.Contains(stdout+stderr, "hunter2") {
				t.Errorf("the password is shown: %s%s", stdout, stderr)
			}
		})
	}
}

// A flag overrides its variable.
func TestFlagOverridesVariable(t *testing.T) {
	status, _, stderr := run(t, []string{"STORE_URL=postgres://h/d"}, "order", "--store=oracle://h/d")
	if status != 1 || !strings.Contains(stderr, `"oracle"`) {
		t.Errorf("exit status %d, %q", status, stderr)
	}
}

func TestVersion(t *testing.T) {
	for _, name := range []string{"order", "notification", "orderflow"} {
		status, stdout, _ := run(t, []string{"LOG_LEVEL=info"}, name, "version")
		if status != 0 || !strings.HasPrefix(stdout, name+" ") || !strings.Contains(stdout, "go1.") {
			t.Errorf("exit status %d, %q", status, stdout)
		}
	}
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':'):] }

func TestHealthcheck(t *testing.T) {
	var ready atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || !ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	address := server.Listener.Addr().String()
	for _, want := range []bool{true, false} {
		ready.Store(want)
		status, stdout, stderr := run(t, []string{"ADDR=" + address}, "order", "healthcheck")
		if (status == 0) != want || strings.Contains(stdout, "ready") != want || (stderr == "") != want {
			t.Errorf("ready %v: exit status %d, %q, %q", want, status, stdout, stderr)
		}
	}
	status, _, stderr := run(t, nil, "order", "healthcheck", "--addr="+freeAddress(t))
	if status != 1 || !strings.Contains(stderr, "nothing listens there; start the service") {
		t.Errorf("nothing listens: exit status %d, %q", status, stderr)
	}
	admin := freeAddress(t)
	status, _, stderr = run(t, nil, "order", "status", "--admin-addr="+admin)
	if want := "order: ask the running service at --admin-addr (ADMIN_ADDR): http://localhost" + portOf(admin) + ": nothing listens there; start the service"; status != 1 || !strings.HasPrefix(stderr, want) {
		t.Errorf("status: exit status %d, %q, want %q", status, stderr, want)
	}
	// Both services of orderflow must be ready. One fault of both is one line.
	one, other := freeAddress(t), freeAddress(t)
	status, _, stderr = run(t, nil, "orderflow", "healthcheck", "--order-addr="+one, "--notification-addr="+other)
	if status != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, portOf(one)) || !strings.Contains(stderr, portOf(other)) || strings.Count(stderr, "nothing listens there") != 1 {
		t.Errorf("nothing listens: exit status %d, %q", status, stderr)
	}
	// A service that is ready without one of its servers says so.
	p, alone := orderAlone(t)
	p.start(t)
	awaitReady(t, alone)
	var stdout string
	status, stdout, stderr = run(t, nil, "order", "healthcheck", "--addr="+alone)
	if status != 0 || !strings.Contains(stdout, "ready, but not well: broker down") || stderr != "" {
		t.Errorf("without a broker: exit status %d, %q, %q", status, stdout, stderr)
	}
	status, _, _ = run(t, nil, "orderflow", "healthcheck", "--order-addr="+address, "--notification-addr="+freeAddress(t))
	if status != 1 {
		t.Errorf("one of two services is ready: exit status %d", status)
	}
}
