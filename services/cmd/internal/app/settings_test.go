package app

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"example.com/orderflow/adapters/tlstest"
	"example.com/orderflow/services/access"
)

var began = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// everything is a program with all settings.
type everything struct {
	Run everythingRun `cmd:"" default:"1"`
	Commands
	Addr Address `env:"ADDR" default:":8080"`
	Intake
	Consuming
	Notifying
	Common

	ran bool
}

func (e *everything) Addresses() []Address { return nil }

type everythingRun struct{}

func (everythingRun) Run(e *everything) error { e.ran = true; return nil }

var program = Program{Name: "all", Store: "mongodb://u:hunter2@h/d", Broker: "amqp://u:hunter2@h/", LogFormat: "json", AdminPort: "9080"}

func execute(t *testing.T, args ...string) (status int, e *everything, stderr string) {
	t.Helper()
	e = new(everything)
	var out, errs bytes.Buffer
	status = Exec(t.Context(), program, e, args, Streams{nil, &out, &errs})
	for line := range strings.Lines(out.String()) {
		expected := strings.Contains(line, "the list of processes shows the secret") || strings.Contains(line, `"msg":"starting"`)
		if !expected || strings.Contains(line, "hunter2") {
			t.Errorf("stdout has %q", line)
		}
	}
	return status, e, errs.String()
}

// examples are values of settings without a default.
var examples = map[string]string{
	"broker-management": "http://u:hunter2@h:15672", "smtp": "smtp://u:hunter2@h/?from=a@example.com", "webhook": "https://h/hunter2", "webhook-secret-file": "/run/secrets/hunter2",
	"channels": "channels-hunter2.yaml", "templates": "templates-hunter2", "rate": "email=20", "rate-limit": "10/s", "alerts": "mailto:hunter2@example.com", "smtp-password-file": "/run/secrets/hunter2",
	"auth-jwks": "https://login.example.com/jwks.json", "auth-issuer": "https://login.example.com/", "auth-audience": "orders-api",
	"admin-trust-header": "X-Forwarded-User", "admin-trust-from": "10.1.2.0/24", "admin-trust-operators": "hunter2",
}

// Every setting, by flag or variable, is trimmed at its end. A setting with a control
// character is refused with an error that names the setting and hides its value.
func TestEverySettingIsClean(t *testing.T) {
	model, err := kong.New(new(everything), kong.Vars{"store": program.Store, "broker": program.Broker, "log_format": "json", "admin_port": "1"})
	if err != nil {
		t.Fatal(err)
	}
	pair := tlstest.NewAuthority(t).Issue(t, time.Now().Add(time.Hour))
	examples["tls-cert"], examples["tls-key"] = pair.File, pair.KeyFile
	examples["admin-tokens-file"] = filepath.Join(t.TempDir(), "tokens")
	token, _, err := access.NewToken("ann", access.Viewer)
	if err := cmp.Or(err, os.WriteFile(examples["admin-tokens-file"], []byte(token.String()), 0o600)); err != nil {
		t.Fatal(err)
	}
	for variable, flag := range map[string]string{
		"AUTH_JWKS": "auth-jwks", "AUTH_ISSUER": "auth-issuer", "AUTH_AUDIENCE": "auth-audience", "TLS_CERT": "tls-cert", "TLS_KEY": "tls-key",
		"ADMIN_TRUST_HEADER": "admin-trust-header", "ADMIN_TRUST_FROM": "admin-trust-from", "ADMIN_TRUST_OPERATORS": "admin-trust-operators",
	} {
		t.Setenv(variable, examples[flag]) // each needs the others
	}
	checked := 0
	for _, flag := range model.Model.Flags {
		if flag.IsBool() || flag.Name == "help" {
			continue
		}
		checked++
		valid := flag.Default
		if examples[flag.Name] != "" {
			valid = examples[flag.Name]
		}
		check := func(how string, status int, e *everything, stderr, problem string) {
			t.Helper()
			switch {
			case problem == "" && (status != 0 || !e.ran):
				t.Errorf("%s %s with white space at the end: status %d: %s", flag.Name, how, status, stderr)
			case problem != "" && (status != 2 || e.ran || !strings.HasPrefix(stderr, "all: --"+flag.Name+" (") || !strings.Contains(stderr, problem) ||
				strings.Contains(stderr, "hunter2") || strings.Contains(stderr, valid) || strings.Count(stderr, "\n") != 1):
				t.Errorf("%s %s: status %d, %q is not the one line about %q", flag.Name, how, status, stderr, problem)
			}
		}
		length := len([]rune(valid))
		for end, problem := range map[string]string{
			"\n": "", " \t\r\n": "", "\u00a0": "",
			"\x01x": fmt.Sprintf("character %d is the control character U+0001", length+1),
			"\nx":   fmt.Sprintf("character %d is the control character U+000A", length+1),
			"\x1b":  "U+001B", "\u009bx": "U+009B", "\x7f": "U+007F",
			"\xffx": fmt.Sprintf("character %d is not valid UTF-8", length+1), "\xc3": "not valid UTF-8",
		} {
			status, e, stderr := execute(t, "--"+flag.Name+"="+valid+end)
			check("by flag", status, e, stderr, problem)
			status, e, stderr = execute(t, "--"+flag.Name, valid+end)
			check("by flag and value", status, e, stderr, problem)
			t.Setenv(flag.Envs[0], valid+end)
			status, e, stderr = execute(t)
			check("by variable", status, e, stderr, problem)
			t.Setenv(flag.Envs[0], valid)
		}
	}
	if checked < 24 {
		t.Errorf("only %d settings were found", checked)
	}
	if _, e, _ := execute(t, "--store=mongodb://h/d\r\n"); e.Store != "mongodb://h/d" {
		t.Errorf("the store's URL is %q", e.Store)
	}
}

// No command line prints the password of a URL.
func TestNoPasswordIsPrinted(t *testing.T) {
	urls := []string{"mongodb://user:hunter2@host/db", "amqp://u:p@hunter2@h", "amqp://u:p/hunter2@h", "amqp://u:p:hunter2@h", "mongodb://u:p hunter2@h",
		"u:hunter2@h", "mongodb://u:p\x01hunter2@h", "mongodb://u:p\xffhunter2@h", "http://u:hunter2@h:x"}
	for _, url := range urls {
		for _, args := range [][]string{{url}, {"run", url}, {"version", url}, {"healthcheck", url}, {"--" + url}, {"-" + url},
			{"--addr=" + url, "healthcheck"}, {"--admin-addr=" + url, "x"}, {"--log-level=" + url}, {"--log-format=" + url}, {"--start-timeout=" + url}, {"--max-in-flight=" + url}, {"--rate-limit=" + url},
			{"--prefetch=" + url}, {"--shutdown-delay=" + url}, {"--retention=" + url}, {"--rate=" + url}, {"--smtp=" + url, "x"}, {"--webhook-secret-file=" + url, "x"}, {"--stor=" + url}, {"--store=" + url, "x"}, {"--broker-management=" + url}, {"--start-timeout", url}, {"--store"}} {
			status, e, stderr := execute(t, args...)
			if strings.Contains(stderr, "hunter2") {
				t.Errorf("%q: %s", args, stderr)
			}
			if status == 0 && args[0] != "--addr="+url && !e.ran {
				t.Errorf("%q: status 0", args)
			}
		}
	}
}

func TestSettingsInRange(t *testing.T) {
	for _, tt := range []struct {
		arg, want string // part of the error; empty: none
	}{
		{"--shutdown-delay=0s", ""}, {"--shutdown-delay=1h", ""}, {"--shutdown-delay=-1s", "0 to 1h"}, {"--shutdown-delay=61m", "0 to 1h"},
		{"--idle-timeout=1h", ""}, {"--idle-timeout=0s", "more than 0"}, {"--idle-timeout=2h", "at most 1h"}, {"--idle-timeout=2", `--idle-timeout (IDLE_TIMEOUT): "2" is not a duration; give one such as`},
		{"--retention=1d", ""}, {"--retention=36h", ""}, {"--retention=23h", "1d to 3650d"}, {"--retention=-5d", "--retention (RETENTION)"}, {"--retention=4000d", "1d to 3650d"}, {"--retention=90", "not a duration"},
		{"--rate=email=20,webhook=0.5", ""}, {"--rate=", ""}, {"--rate=email", "--rate (RATE)"}, {"--rate=email=0", "more than 0"}, {"--rate=email=NaN", "more than 0"}, {"--rate=a=1,a=2", "twice"}, {"--rate==5", "CHANNEL=NUMBER"},
		{"--tls-cert=x", "set --tls-key, too"}, {"--tls-key=x", "--tls-key (TLS_KEY): there is no certificate"}, {"--auth-jwks=keys.json", "set --auth-issuer"}, {"--auth-issuer=x", "--auth-issuer (AUTH_ISSUER): there are no keys"}, {"--auth-audience=x", "set --auth-jwks, too"},
		{"--smtp-password-file=x", "set --smtp, too"}, {"--webhook-allow-private", "there is no channel webhook"},
		{"--broker-management=https://u:p@h", ""}, {"--broker-management=", ""}, {"--broker-management=http://h:15672", ""}, {"--broker-management=h:15672", "http://user:xxxxx@host:15672"},
		{"--broker-management=amqp://u:hunter2@h", "--broker-management (BROKER_MANAGEMENT_URL)"},
	} {
		status, _, stderr := execute(t, tt.arg)
		if (status == 0) != (tt.want == "") || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, "hunter2") {
			t.Errorf("%s: status %d: %s", tt.arg, status, stderr)
		}
	}
	for prefetch, want := range map[int]bool{0: false, 1: true, 65535: true, 65536: false, -1: false} {
		if err := (&Consuming{prefetch}).Validate(); (err == nil) != want {
			t.Errorf("prefetch %d: %v", prefetch, err)
		}
	}
	if err := (&Common{StartTimeout: 1, RequestTimeout: 1, IdleTimeout: 1, ShutdownTimeout: 1, Broker: "memory:", BrokerManagement: "http://u:p@h"}).Validate(); err == nil {
		t.Error("a management API is accepted for a broker in memory")
	}
}
