package cmd_test

import (
	"crypto/tls"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/orderflow/adapters/tlstest"
)

// Secrets may stand in files that variables name.
func TestSecretsFromFiles(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	store, broker := write("store", "mongodb://u:hunter2@localhost:1/orders?timeoutMS=300\n"), write("broker", "amqp://u:hunter2@localhost:1/\r\n\n")
	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, program string
		args, env     []string
		want          []string // in the one line on stderr
	}{
		{"store", "order", []string{"--start-timeout=1s"}, []string{"STORE_URL_FILE=" + store}, []string{"--store (STORE_URL_FILE)", "localhost:1/orders"}},
		{"broker", "notification", []string{"--start-timeout=1s", "--store=memory:", "--addr=localhost:0", "--admin-addr=localhost:0"}, []string{"BROKER_URL_FILE=" + broker}, []string{"--broker (BROKER_URL_FILE)", "localhost:1"}},
		{"both", "order", nil, []string{"STORE_URL_FILE=" + store, "STORE_URL=memory:"}, []string{"STORE_URL_FILE: STORE_URL is set, too; remove one"}},
		{"both, one is empty", "order", nil, []string{"STORE_URL_FILE=" + store, "STORE_URL="}, []string{"STORE_URL_FILE: STORE_URL is set, too; remove one"}},
		{"no file", "order", nil, []string{"STORE_URL_FILE=" + folder + "/none"}, []string{"STORE_URL_FILE: ", folder + "/none", "no such file"}},
		{"two faults", "notification", nil, []string{"STORE_URL_FILE=" + folder + "/none", "BROKER_URL_FILE=" + folder}, []string{"STORE_URL_FILE: ", "BROKER_URL_FILE: ", "is a directory"}},
		{"empty file", "order", nil, []string{"BROKER_URL_FILE=" + write("empty", "\n")}, []string{"BROKER_URL_FILE: ", "the file is empty"}},
		{"two lines", "order", nil, []string{"STORE_URL_FILE=" + write("lines", "mongodb://a/b\nhunter2\n")}, []string{"STORE_URL_FILE: ", "one line"}},
		{"large file", "order", nil, []string{"STORE_URL_FILE=" + write("large", strings.Repeat("hunter2", 10_000))}, []string{"STORE_URL_FILE: ", "64 KiB"}},
		{"pipe without a writer", "order", nil, []string{"STORE_URL_FILE=" + pipe}, []string{"STORE_URL_FILE: ", "could not be read within"}},
		{"the URL itself", "order", nil, []string{"STORE_URL_FILE=mongodb://u:hunter2@localhost/orders"}, []string{"STORE_URL_FILE: ", "no such file"}},
		{"mail server", "notification", nil, []string{"SMTP_URL_FILE=" + write("smtp", "smtp://u:hunter2@h/")}, []string{"--smtp (SMTP_URL_FILE)", "option from is missing"}},
		{"webhook", "notification", nil, []string{"WEBHOOK_SECRET=whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "WEBHOOK_URL_FILE=" + write("webhook", "http://h/hunter2\n")}, []string{"--webhook (WEBHOOK_URL_FILE)", "https://"}},
		{"management", "order", nil, []string{"BROKER_MANAGEMENT_URL_FILE=" + write("management", "ftp://u:hunter2@h")}, []string{"--broker-management (BROKER_MANAGEMENT_URL_FILE)", "http://"}},
		{"alerts", "notification", nil, []string{"ALERTS_FILE=" + write("alerts", "fax:hunter2")}, []string{"--alerts (ALERTS_FILE)", "mailto:"}},
		{"move", "orderflow", []string{"move", "--store=sqlite:" + folder + "/none.db"}, []string{"TO_STORE_URL_FILE=" + folder + "/none"}, []string{"TO_STORE_URL_FILE: ", "no such file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, stdout, stderr := run(t, tt.env, tt.program, tt.args...)
			lines := 1
			if tt.name == "two faults" {
				lines = 2
			}
			if status == 0 || strings.Count(stderr, "\n") != lines || strings.Contains(stdout+stderr, "hunter2") {
				t.Errorf("exit status %d, %q", status, stderr)
			}
			for _, part := range tt.want {
				if !strings.Contains(stderr, part) {
					t.Errorf("%q does not say %q", stderr, part)
				}
			}
		})
	}
	// A flag wins, and a command that does not need a file does not read it.
	status, _, stderr := run(t, []string{"STORE_URL_FILE=" + folder + "/none"}, "order", "--store=oracle://h/d")
	if !strings.Contains(stderr, `"oracle"`) {
		t.Errorf("with a flag: exit status %d, %q", status, stderr)
	}
	if status, _, stderr := run(t, []string{"TO_STORE_URL_FILE=" + folder + "/none"}, "orderflow", "check", "--store=memory:", "--broker=memory:"); status != 0 {
		t.Errorf("another command: exit status %d, %q", status, stderr)
	}
}

// --print-config shows each setting with its source, and no secret.
func TestPrintConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(file, []byte("mongodb://u:hunter2@h/d?tlsCertificateKeyFilePassword=hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := run(t, []string{
		"STORE_URL_FILE=" + file, "BROKER_URL=amqp://u:hunter2@h/", "LOG_LEVEL=warn", "RETENTION=30d", "WEBHOOK_URL=https://example.com/hunter2?key=hunter2",
		"WEBHOOK_SECRET=whsec_AAAAAAAAAAAAAAAAAAAAAAAAhunter2A", "SMTP_URL=smtp://u:hunter2@h/?from=a@example.com",
	}, "notification", "--print-config", "--addr=:7", "--no-auto-index", "--alerts=https://example.com/hunter2")
	if status != 0 || stderr != "" || strings.Contains(stdout, "hunter2") {
		t.Errorf("exit status %d, %q, %s", status, stderr, stdout)
	}
	got := make(map[string]string)
	for line := range strings.Lines(stdout) {
		fields := strings.Fields(line)
		got[fields[0]] = strings.Join(fields[1:], " ")
	}
	for name, want := range map[string]string{
		"store":           "mongodb://u:xxxxx@h/d?… file " + file + " (STORE_URL_FILE)",
		"broker":          "amqp://u:xxxxx@h/ variable BROKER_URL",
		"addr":            ":7 flag",
		"auto-index":      "false flag",
		"admin-addr":      "localhost:9081 default",
		"log-level":       "warn variable LOG_LEVEL",
		"retention":       "30d variable RETENTION",
		"request-timeout": "10s default",
		"webhook":         "https://example.com/… variable WEBHOOK_URL",
		"webhook-secret":  "(hidden) variable WEBHOOK_SECRET",
		"alerts":          "https://example.com/… flag",
		"templates":       "(none) default",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if !strings.Contains(stdout, "channel email") {
		t.Errorf("no channel email in\n%s", stdout)
	}
}

// The services use TLS with client certificates to both servers, by their URLs.
func TestTLSToTheServers(t *testing.T) {
	t.Parallel()
	settings := servers(t)
	authority, foreign := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	soon, past := time.Now().Add(30*24*time.Hour), time.Now().Add(-time.Hour)
	own := authority.Issue(t, soon)
	config := func(c tlstest.Certificate) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{c.Certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool()}
	}
	// secured returns the URL through a proxy by TLS.
	secured := func(flag, scheme string, c tlstest.Certificate, options url.Values) string {
		name, value, _ := strings.Cut(flag, "=")
		u, err := url.Parse(value)
		if err != nil {
			t.Fatal(err)
		}
		u.Scheme, u.Host, u.RawQuery = scheme, tlstest.Proxy(t, u.Host, config(c)), options.Encode()
		return name + "=" + u.String()
	}
	store := func(server tlstest.Certificate, file string) string {
		options := url.Values{"tls": {"true"}, "tlsCAFile": {authority.File}, "directConnection": {"true"}, "serverSelectionTimeoutMS": {"500"}}
		if file != "" {
			options.Set("tlsCertificateKeyFile", file)
		}
		return secured(settings[0], "mongodb", server, options)
	}
	broker := func(server tlstest.Certificate, client bool) string {
		options := url.Values{"cacertfile": {authority.File}}
		if client {
			options.Set("certfile", own.File)
			options.Set("keyfile", own.KeyFile)
		}
		return secured(settings[1], "amqps", server, options)
	}
	good := authority.Issue(t, soon)
	goodStore, goodBroker := store(good, own.BothFile), broker(good, true)

	orders, notifications := freeAddress(t), freeAddress(t)
	order := start(t, "order", goodStore, goodBroker, "--addr="+orders)
	notification := start(t, "notification", goodStore, goodBroker, "--addr="+notifications)
	awaitReady(t, orders)
	awaitReady(t, notifications)
	awaitSent(t, notifications, map[string]bool{place(t, orders): true})
	order.stopWell(t, syscall.SIGTERM)
	notification.stopWell(t, syscall.SIGTERM)

	for _, tt := range []struct{ name, store, broker, want string }{
		{"store's certificate has expired", store(authority.Issue(t, past), own.BothFile), goodBroker, "the server's certificate has expired"},
		{"store of a foreign authority", store(foreign.Issue(t, soon), own.BothFile), goodBroker, "name the file of the authority's certificate by the URL's option tlsCAFile"},
		{"no certificate for the store", store(good, ""), goodBroker, "give one by the URL's option tlsCertificateKeyFile"},
		{"broker's certificate has expired", goodStore, broker(authority.Issue(t, past), true), "expired"},
		{"broker of a foreign authority", goodStore, broker(foreign.Issue(t, soon), true), "by the URL's option cacertfile"},
		{"no certificate for the broker", goodStore, broker(good, false), "give one by the URL's options certfile and keyfile"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, _, stderr := run(t, nil, "notification", tt.store, tt.broker, "--addr=localhost:0", "--admin-addr=localhost:0", "--start-timeout=3s")
			if status != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit status %d, %q, want one line with %q", status, stderr, tt.want)
			}
		})
	}
}
